"""The store in Redis or Valkey: one for many machines."""

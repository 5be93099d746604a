"""Configuration files that the operator writes and the pods read."""

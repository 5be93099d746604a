"""Adapters of the engines: one neutral vocabulary in, one process that speaks OpenAI out."""

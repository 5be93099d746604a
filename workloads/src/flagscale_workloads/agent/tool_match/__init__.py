"""Matching of tools: which of thousands answer a request."""

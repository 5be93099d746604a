"""The gateway: one OpenAI-compatible door before any number of engine processes."""

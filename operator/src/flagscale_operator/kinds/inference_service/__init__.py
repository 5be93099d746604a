"""InferenceService: a model behind one OpenAI-compatible door."""

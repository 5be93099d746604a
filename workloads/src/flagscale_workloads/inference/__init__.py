"""Our own engine, for models that no other engine serves: transformers, diffusers, simulated."""

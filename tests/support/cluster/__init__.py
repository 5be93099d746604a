"""A Kubernetes for tests and demos: native (no Docker), kind, or the one at hand."""

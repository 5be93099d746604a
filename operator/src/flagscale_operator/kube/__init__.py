"""The Kubernetes API: protocol, implementation, kinds and RBAC."""

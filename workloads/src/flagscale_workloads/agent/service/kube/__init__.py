"""The few things that the service asks of the Kubernetes API."""

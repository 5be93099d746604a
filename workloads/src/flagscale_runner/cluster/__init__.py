"""Resources in a Kubernetes cluster, with the user's own kubeconfig."""

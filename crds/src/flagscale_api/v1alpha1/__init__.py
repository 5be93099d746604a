"""flagscale.dev/v1alpha1."""

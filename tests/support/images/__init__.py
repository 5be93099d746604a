"""Builds the images of the project and brings them into the cluster, cached by content."""

"""What is missing to run resources, here or in a cluster."""

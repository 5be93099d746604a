"""TrainJob: from a spec to attempts of a gang, and honestly back to status."""

"""What agents need around a model: tools that are found by what they do."""

"""What a TrainJob's attempt becomes: one module per child kind, behind one function."""

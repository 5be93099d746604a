"""What runs in the pods: one package per system of the FlagScale architecture."""

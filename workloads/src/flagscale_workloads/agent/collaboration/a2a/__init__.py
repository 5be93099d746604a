"""Tasks handed to other agents by the A2A protocol, and taken from them."""

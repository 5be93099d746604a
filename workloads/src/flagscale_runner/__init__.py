"""The runner: the same resources on this machine as in a cluster, through one interface."""

"""Keyed queue, workers, view of the cluster, Lease."""

"""A control plane for one machine: the operator's own reconcilers over processes, not pods."""

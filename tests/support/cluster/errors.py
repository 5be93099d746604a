"""The one error of this package."""


class ClusterError(RuntimeError):
    """A cluster step failed; the text says where, what is wrong and what to do."""

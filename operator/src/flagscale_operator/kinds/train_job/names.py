"""Names of what a TrainJob owns: functions of the job and the attempt, so they never repeat."""


def child_name(job: str, attempt: int) -> str:
    """Name of the PyTorchJob of an attempt; its pods are `<this>-worker-<i>`."""
    return f"{job}-a{attempt}"

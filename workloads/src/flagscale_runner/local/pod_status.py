"""A pod's status, as the kubelet and the scheduler would write it (pure)."""

from typing import Any, Final

from flagscale_operator.kinds.train_job.facts import CONTAINER

Status = dict[str, Any]
NODE: Final = "this-machine"


def _container(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": CONTAINER, "state": state, "ready": "running" in state}]


def unschedulable(message: str) -> Status:
    """Something that has to be there first is not."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [{**condition, "message": message}]}


def misconfigured(message: str) -> Status:
    """It can't run as written."""
    waiting = {"reason": "CreateContainerConfigError", "message": message}
    return {"phase": "Pending", "containerStatuses": _container({"waiting": waiting})}


def running() -> Status:
    """Its program runs."""
    return {"phase": "Running", "containerStatuses": _container({"running": {}})}


def terminated(end: dict[str, Any]) -> Status:
    """Its program has ended."""
    phase = "Succeeded" if end["exitCode"] == 0 else "Failed"
    return {"phase": phase, "containerStatuses": _container({"terminated": end})}


def ended(status: Status) -> bool:
    """Whether nothing of it runs any more."""
    return status.get("phase") in ("Succeeded", "Failed")

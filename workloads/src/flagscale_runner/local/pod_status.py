"""A pod's status, as the kubelet and the scheduler would write it (pure)."""

import json
from datetime import datetime
from typing import Any, Final

from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kube.client import Manifest
from flagscale_runner.local.deployments import LAST_END

Status = dict[str, Any]
NODE: Final = "this-machine"


def _container(
    pod: Manifest, state: dict[str, Any], where: str = "containers"
) -> list[dict[str, Any]]:
    name = pod["spec"][where][0]["name"]
    last = json.loads((pod["metadata"].get("annotations") or {}).get(LAST_END, "{}"))
    about = {"lastState": {"terminated": last["state"]}} if last.get("container") == name else {}
    return [{"name": name, "state": state, "ready": "running" in state, **about}]


def before_it(pod: Manifest, status: Status, end: dict[str, Any] | None) -> Status:
    """The status with that of the init container, which has ended so, or has not yet."""
    if "initContainers" not in pod["spec"]:
        return status
    first = {"running": {}} if end is None else {"terminated": end}
    told = {"initContainerStatuses": _container(pod, first, "initContainers")}
    if end and end["exitCode"] == 0:
        return {**status, **told}
    waiting = _container(pod, {"waiting": {"reason": "PodInitializing"}})
    phase = "Pending" if end is None else "Failed"
    return {"phase": phase, "containerStatuses": waiting, **told}


def unschedulable(message: str) -> Status:
    """Something that has to be there first is not."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [{**condition, "message": message}]}


def misconfigured(pod: Manifest, message: str) -> Status:
    """It can't run as written."""
    waiting = {"reason": "CreateContainerConfigError", "message": message}
    return {"phase": "Pending", "containerStatuses": _container(pod, {"waiting": waiting})}


def running(pod: Manifest) -> Status:
    """Its program runs; whether it answers is not asked."""
    return {"phase": "Running", "containerStatuses": _container(pod, {"running": {}})}


def probed(pod: Manifest, *, ready: bool, now: datetime) -> Status:
    """Its program runs and was asked; a condition keeps the time of its last change."""
    value = "True" if ready else "False"
    conditions = pod["status"].get("conditions") or ()
    before: dict[str, Any] = next((c for c in conditions if c["type"] == "Ready"), {})
    since = before["lastTransitionTime"] if before.get("status") == value else format_time(now)
    condition = {"type": "Ready", "status": value, "lastTransitionTime": since}
    return {**running(pod), "conditions": [condition]}


def terminated(pod: Manifest, end: dict[str, Any]) -> Status:
    """Its program has ended."""
    phase = "Succeeded" if end["exitCode"] == 0 else "Failed"
    return {"phase": phase, "containerStatuses": _container(pod, {"terminated": end})}


def ended(status: Status) -> bool:
    """Whether nothing of it runs any more."""
    return status.get("phase") in ("Succeeded", "Failed")

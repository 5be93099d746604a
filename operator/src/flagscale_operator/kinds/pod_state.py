"""What a pod's status says about its main container; the same for every kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from flagscale_operator.kinds.clock import parse_time

_IMAGE_REASONS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_CONTAINER_REASONS: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container ended."""

    exit_code: int
    signal: int | None
    reason: str
    message: str
    finished_at: datetime | None


class WaitingPod(Protocol):
    """A pod that may not have started."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def waiting_reason(self) -> str | None:
        """Why it waits, in Kubernetes' word."""

    @property
    def waiting_message(self) -> str | None:
        """Why it waits, in a sentence."""


def termination_of(state: Mapping[str, Any]) -> Termination | None:
    """How a container ended, by its `state` or `lastState`."""
    ended = state.get("terminated")
    if not ended:
        return None
    return Termination(
        exit_code=int(ended.get("exitCode", 0)),
        signal=ended.get("signal"),
        reason=ended.get("reason") or "",
        message=ended.get("message") or "",
        finished_at=parse_time(ended.get("finishedAt")),
    )


def explain_waiting(
    pods: Sequence[WaitingPod], count: str, *, claim_remedy: str
) -> tuple[str, str] | None:
    """Reason and sentence for the worst news of pods that have not started, if there is any."""
    for pod in pods:
        reason, text = pod.waiting_reason or "", pod.waiting_message or ""
        if "persistentvolumeclaim" in text and "not found" in text:
            return "VolumeClaimMissing", f"{count}; pod {pod.name}: {text}; {claim_remedy}"
        if reason in _IMAGE_REASONS:
            return "ImagePull", (
                f"{count}; pod {pod.name}: {reason}: {text}; check the image and "
                "spec.podTemplate.imagePullSecrets"
            )
        if reason in _CONTAINER_REASONS:
            return "ContainerError", (
                f"{count}; pod {pod.name}: {reason}: {text}; create what is missing or correct "
                "the spec"
            )
    for pod in pods:
        if pod.waiting_reason in ("Unschedulable", "SchedulingGated"):
            return pod.waiting_reason, (
                f"{count}; pod {pod.name}: {pod.waiting_message}; free or add capacity, or ask "
                "for less in spec.resources"
            )
    return None

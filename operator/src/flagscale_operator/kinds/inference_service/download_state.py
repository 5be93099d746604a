"""How far the downloads of engine pods are, as Kubernetes tells it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from flagscale_api.runtime.download import DownloadOutcome
from flagscale_api.v1alpha1.inference_service_status import LoadFailure
from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kinds.inference_service.download import CONTAINER
from flagscale_operator.kinds.pod_state import Termination, termination_of

MESSAGE_LIMIT: Final = 1000
FAILED: Final = "ModelDownloadFailed"


@dataclass(frozen=True, slots=True)
class DownloadFact:
    """The init container that downloads."""

    running: bool
    waiting: Mapping[str, Any] | None = None
    """Why it can't start, in Kubernetes' words."""
    failure: Termination | None = None
    """How it last ended, if that was no success."""
    outcome: DownloadOutcome | None = None
    """What it said when it succeeded."""


def observe_download(status: Mapping[str, Any]) -> DownloadFact | None:
    """The download in a pod's status; None where the pod has none."""
    containers = status.get("initContainerStatuses") or ()
    own: Mapping[str, Any] = next((c for c in containers if c.get("name") == CONTAINER), {})
    if not own:
        return None
    state = own.get("state") or {}
    ended = termination_of(state)
    last = ended or termination_of(own.get("lastState") or {})
    done = ended is not None and ended.exit_code == 0
    return DownloadFact(
        running="running" in state,
        waiting=state.get("waiting"),
        failure=last if last and last.exit_code and not done else None,
        outcome=_outcome(ended.message) if ended and done else None,
    )


def download_failure(facts: Iterable[tuple[str, DownloadFact | None]]) -> LoadFailure | None:
    """The newest failed download of these pods, by name."""
    failed = [(name, fact.failure) for name, fact in facts if fact and fact.failure]
    if not failed:
        return None
    never = datetime.min.replace(tzinfo=UTC)
    pod, ended = max(failed, key=lambda pair: (pair[1].finished_at or never, pair[0]))
    told = _outcome(ended.message)
    if told and told.reason:
        reason, message = told.reason, told.message
    else:
        reason, message = FAILED, _unexplained(ended)
    return LoadFailure(
        reason=reason,
        message=message[:MESSAGE_LIMIT],
        exit_code=ended.exit_code,
        pod=pod,
        time=format_time(ended.finished_at) if ended.finished_at else None,
    )


def _outcome(message: str) -> DownloadOutcome | None:
    try:
        return DownloadOutcome.model_validate_json(message)
    except ValidationError:
        return None


def _unexplained(ended: Termination) -> str:
    """A program that was killed says nothing itself."""
    if ended.reason == "OOMKilled":
        return "the download was killed for want of memory; free some on the node"
    words = ended.message.strip()[-MESSAGE_LIMIT // 2 :] or "without a word"
    return f"exited with code {ended.exit_code}: {words}; `kubectl logs -c {CONTAINER}` tells more"

"""How serving pods end, in a sentence with a next step."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from flagscale_api.v1alpha1.inference_service_status import LoadFailure
from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kinds.inference_service.facts import ServingPod
from flagscale_operator.kinds.pod_state import Termination

MESSAGE_LIMIT: Final = 1000
_OWN_WORDS: Final = "serve: "
_SPENT: Final = "processes.restarts: spent"
_OTHER_MODEL: Final = f"{_OWN_WORDS}model.digest: "
_NO_HELP: Final = "correct it"
"""What the program says of a field that the file of a pod has, and a user has never seen."""
_NEXT_STEP: Final = {
    "OutOfMemory": "raise spec.resources.limits.memory, or lower spec.engine.contextLength",
    "ConfigError": "correct spec.model or spec.engine",
    "ModelDigestMismatch": "or name the folder with spec.model.volume to serve what is there",
    "EngineExited": "correct the model or spec.engine; `kubectl logs --previous` tells more",
    "Killed": "Kubernetes starts it again; `kubectl describe pod` tells more",
}


def newest_failure(pods: Sequence[ServingPod]) -> LoadFailure | None:
    """The last unclean end of any of these pods."""
    ended = [(pod, pod.failure) for pod in pods if pod.failure]
    if not ended:
        return None
    never = datetime.min.replace(tzinfo=UTC)
    pod, failure = max(ended, key=lambda pair: (pair[1].finished_at or never, pair[0].name))
    return load_failure(failure, pod.name)


def load_failure(failure: Termination, pod: str) -> LoadFailure:
    """An unclean end, in words with a next step."""
    reason = _reason(failure)
    return LoadFailure(
        reason=reason,
        message=_with_next_step(_words(failure), reason),
        exit_code=failure.exit_code,
        pod=pod,
        time=format_time(failure.finished_at) if failure.finished_at else None,
    )


def _with_next_step(words: str, reason: str) -> str:
    """One next step: of a configuration the program's own, which is about the very field."""
    if reason != "ConfigError":
        return f"{words}; {_NEXT_STEP[reason]}"
    told, _, remedy = words.rpartition("; ")
    if told and remedy != _NO_HELP:
        return words
    return f"{told or words}; {_NEXT_STEP[reason]}"


def _reason(failure: Termination) -> str:
    if failure.reason == "OOMKilled":
        return "OutOfMemory"
    if failure.exit_code > 128:
        return "Killed"
    if _OWN_WORDS not in failure.message or _SPENT in failure.message:
        return "EngineExited"
    return "ModelDigestMismatch" if _OTHER_MODEL in failure.message else "ConfigError"


def _words(failure: Termination) -> str:
    """The program's own sentence, which it says last; else the end of its log."""
    if failure.reason == "OOMKilled":
        return "the kernel killed a process that used more memory than the container's limit"
    _, _, told = failure.message.rpartition(f"\n{_OWN_WORDS}")
    text = _without_remedy((told or failure.message).strip().removeprefix(_OWN_WORDS))
    return text[-MESSAGE_LIMIT:] or f"exited with code {failure.exit_code} without a word"


def _without_remedy(text: str) -> str:
    """An engine that keeps ending: the program's next step is ours in other words, so it goes."""
    before, spent, count = text.rpartition(_SPENT)
    return f"{before}{spent}{count.partition(';')[0]}" if spent else text

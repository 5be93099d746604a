"""Root cause of a failed attempt: the earliest failure over all its pods.

torchrun re-raises every failure of a child as its own exit code 1, so the code says nothing. What
says something is, in this order: the container's OOM mark, the record that our trainer leaves at
the termination-message path (in the form of torchelastic's error file), and the table that torchrun
logs last (`terminationMessagePolicy: FallbackToLogsOnError`). The kubelet keeps the last 4 KiB of
the file or 2 KiB of the log, so the log is read from the end.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from flagscale_api.v1alpha1.train_job_status import Cause, Failure
from flagscale_operator.kinds.pod_state import Termination
from flagscale_operator.kinds.train_job.facts import PodFact
from flagscale_operator.kinds.train_job.told import read_told, words

MESSAGE_LIMIT = 1024
LARGEST_NUMBER: Final = 2**31 - 1
# What a program may say of itself. Not that it was preempted, for one: that costs no restart.
_TOLD_CAUSES: Final[tuple[Cause, ...]] = (
    "InvalidData",
    "InvalidSpec",
    "CheckpointUnreadable",
    "OutputUnwritable",
)
_RANK = re.compile(r"^\s*rank\s*:\s*(\d+)", re.MULTILINE)
_EXIT_CODE = re.compile(r"^\s*exitcode\s*:\s*(-?\d+)", re.MULTILINE)
_EXCEPTION = re.compile(
    r"^\s*(?:\[rank\d+\]:\s*)?([A-Za-z_][\w.]*(?:Error|Exception|Exit)\b.*)$", re.MULTILINE
)
_PEER = re.compile(
    r"Connection (?:closed|reset) by (?:remote )?peer|Broken pipe|Socket closed|"
    r"DistNetworkError|DistStoreError|ncclRemoteError|NCCL watchdog|"
    r"wait(?:ing)? for clients|Timed out waiting|Connection refused",
    re.IGNORECASE,
)
_ROOT_CAUSE_TABLE = "Root Cause (first observed failure):"


@dataclass(frozen=True, slots=True)
class _Report:
    """What a termination message says."""

    message: str = ""
    cause: Cause | None = None
    rank: int | None = None
    exit_code: int | None = None
    timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    failure: Failure
    time: datetime | None


def _from_json(text: str) -> _Report | None:
    """The error file of torchelastic: `{"message": {"message": ..., "extraInfo": {...}}}`."""
    record = read_told(text)
    if "message" not in record:
        return None
    inner = record["message"]
    if not isinstance(inner, dict):
        return _Report(message=words(inner))
    told = inner.get("extraInfo")
    info = told if isinstance(told, dict) else {}
    return _Report(
        message=words(inner.get("message", "")),
        cause=next((cause for cause in _TOLD_CAUSES if cause == info.get("cause")), None),
        rank=_number(info.get("rank"), least=0),
        exit_code=_number(inner.get("errorCode")),
        timestamp=_timestamp(info.get("timestamp")),
    )


def _number(value: object, *, least: int = -LARGEST_NUMBER) -> int | None:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if least <= number <= LARGEST_NUMBER else None


def _timestamp(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(str(value)), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _from_log(text: str) -> _Report:
    """The last lines of a log: torchrun's table, and the last exception above it."""
    head, _, table = text.rpartition(_ROOT_CAUSE_TABLE)
    rank, code = _RANK.search(table), _EXIT_CODE.search(table)
    # The traceback above the table may be cut off; with @record the table holds it once more.
    exceptions = _exceptions(head or text) or _exceptions(table)
    return _Report(
        message=exceptions[-1].strip() if exceptions else "",
        rank=_number(rank.group(1)) if rank else None,
        exit_code=_number(code.group(1)) if code else None,
    )


def _exceptions(text: str) -> list[str]:
    own = ("ChildFailedError", "SystemExit")
    return [line for line in _EXCEPTION.findall(text) if not any(name in line for name in own)]


def _classify(ended: Termination, report: _Report) -> Cause:
    """Class of a terminated container: what the kernel said first, then what the program said."""
    code = report.exit_code if report.exit_code is not None else ended.exit_code
    if ended.reason == "OOMKilled":
        return "OutOfMemory"
    if report.cause:
        return report.cause
    if code < 0 or ended.exit_code >= 128:
        return "Killed"
    if "out of memory" in report.message.lower():
        return "OutOfMemory"
    if _PEER.search(report.message):
        return "PeerLost"
    return "UserError"


_NEXT_STEP: dict[str, str] = {
    "OutOfMemory": "raise spec.resources.limits.memory or lower the micro batch size",
    "UserError": "see the pod's log; fix the program or its arguments",
    "Killed": "the gang restarts from its newest checkpoint",
    "PeerLost": "the gang restarts from its newest checkpoint",
}


def _terminated(pod: PodFact, ended: Termination, processes: int) -> _Candidate:
    report = _from_json(ended.message) or _from_log(ended.message)
    cause = _classify(ended, report)
    code = report.exit_code if report.exit_code is not None else ended.exit_code
    signal = ended.signal or (-code if code < 0 else code - 128 if 128 < code < 160 else None)
    rank = report.rank if report.rank is not None else pod.index * processes
    what = report.message or (f"ended by signal {signal}" if signal else f"exited with code {code}")
    if cause == "OutOfMemory":
        what = "the kernel killed a process that used more memory than the container's limit"
    step = _NEXT_STEP.get(cause)
    message = f"rank {rank} on pod {pod.name}: {what[:MESSAGE_LIMIT]}"
    return _Candidate(
        Failure(
            cause=cause,
            message=f"{message}; {step}" if step else message,
            rank=rank,
            pod=pod.name,
            node=pod.node,
            exit_code=code if code >= 0 else None,
            signal=signal,
        ),
        report.timestamp or ended.finished_at,
    )


_DISRUPTION_CAUSES: dict[str, Cause] = {
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
    "TerminationByKubelet": "Preempted",
    "PreemptionByScheduler": "Preempted",
    "EvictionByEvictionAPI": "Preempted",
}
_POD_REASON_CAUSES: dict[str, Cause] = {
    "NodeLost": "NodeLost",
    "NodeShutdown": "NodeLost",
    "Terminated": "NodeLost",
    "Evicted": "Preempted",
    "Preempting": "Preempted",
}


def _taken_away(pod: PodFact, cause: Cause, what: str) -> _Candidate:
    failure = Failure(
        cause=cause,
        message=f"pod {pod.name} {what}; the gang restarts from its newest checkpoint",
        pod=pod.name,
        node=pod.node,
    )
    return _Candidate(failure, pod.deletion_time)


def _disrupted(pod: PodFact) -> _Candidate | None:
    """A pod that the cluster took away, whatever its containers said then."""
    cause = _DISRUPTION_CAUSES.get(pod.disruption or "")
    if cause:
        return _taken_away(pod, cause, f"was taken from node {pod.node} ({pod.disruption})")
    cause = _POD_REASON_CAUSES.get(pod.reason or "")
    if cause and pod.phase == "Failed":
        return _taken_away(pod, cause, f"failed on node {pod.node} ({pod.reason}: {pod.message})")
    return None


def _candidate(pod: PodFact, *, child_failed: bool, processes: int) -> _Candidate | None:
    disrupted = _disrupted(pod)
    if disrupted:
        return disrupted
    # Once the job failed, its controller deletes the pods that still run: no cause of anything.
    if (pod.deleting or pod.gone) and not child_failed and pod.phase != "Succeeded":
        return _taken_away(pod, "Killed", "was deleted while it was training")
    if pod.termination and pod.termination.exit_code != 0 and not pod.deleting:
        return _terminated(pod, pod.termination, processes)
    if pod.phase == "Failed" and not pod.termination:
        return _taken_away(pod, "Killed", f"failed ({pod.reason}: {pod.message})")
    return None


def find_root_cause(
    pods: Sequence[PodFact], *, child_failed: bool, processes: int
) -> Failure | None:
    """The earliest failure over all pods of an attempt, or None while none is seen.

    A lost connection to a peer only echoes that peer's failure, so it counts only when nothing
    else is known; a pod that the cluster took away explains its neighbours' failures.
    """
    found = [
        c for pod in pods if (c := _candidate(pod, child_failed=child_failed, processes=processes))
    ]
    last = datetime.max.replace(tzinfo=UTC)
    found.sort(key=lambda c: (_echo(c.failure), c.time or last))
    return found[0].failure if found else None


def deleted_first(pods: Sequence[PodFact]) -> Failure | None:
    """Whose deletion failed the job, where no pod says why it did; None when none was deleted.

    The job's controller takes a pod that is being deleted for a failed one and deletes the others
    within milliseconds, so that all of it may be news at once. Theirs is the later end of grace.
    """
    last = datetime.max.replace(tzinfo=UTC)
    away = [pod for pod in pods if (pod.gone or pod.deleting) and pod.phase != "Succeeded"]
    away.sort(key=lambda pod: (pod.deletion_time or last, not pod.gone))
    if not away:
        return None
    return _taken_away(away[0], "Killed", "was deleted while it was training").failure


def _echo(failure: Failure) -> int:
    """0 for causes outside the program, 1 for the program's own, 2 for mere echoes."""
    # Nobody in the gang sends SIGKILL, so who got it was hit from outside.
    if failure.cause in ("NodeLost", "Preempted", "OutOfMemory") or failure.signal == 9:
        return 0
    return 2 if failure.cause == "PeerLost" else 1

"""What the user reads: phase, conditions, progress. Pure, and equal when nothing changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from flagscale_api.v1alpha1.train_job import TrainJobSpec
from flagscale_api.v1alpha1.train_job_status import (
    Artifact,
    Attempt,
    Failure,
    Phase,
    Progress,
    TrainJobStatus,
)
from flagscale_operator.kinds.clock import format_duration, format_time
from flagscale_operator.kinds.conditions import Verdict, update_conditions
from flagscale_operator.kinds.pod_state import explain_waiting
from flagscale_operator.kinds.train_job.facts import Observed, PodFact, ProgressFact


class _Job(Protocol):
    @property
    def generation(self) -> int: ...
    @property
    def status(self) -> TrainJobStatus: ...


def _verdicts(
    ready: Verdict, *, running: bool = False, suspended: str = "False", ended: str = ""
) -> tuple[Verdict, ...]:
    """All five conditions; `ready` carries the reason and the sentence."""
    finished: dict[str, tuple[str, str]] = {
        kind: ("True", ready.message) if ended == kind else ("False", "")
        for kind in ("Succeeded", "Failed")
    }
    return (
        ready,
        Verdict("Running", "True" if running else "False", ready.reason),
        Verdict("Suspended", suspended, _suspend_reason(suspended)),  # type: ignore[arg-type]
        *(
            Verdict(kind, state, ready.reason if ended else "NotFinished", text)  # type: ignore[arg-type]
            for kind, (state, text) in finished.items()
        ),
    )


def _suspend_reason(status: str) -> str:
    return {"True": "Suspended", "Unknown": "Suspending"}.get(status, "NotSuspended")


class Verdicts:
    """The conditions of each situation a TrainJob can be in."""

    @staticmethod
    def starting(reason: str, message: str) -> tuple[Verdict, ...]:
        """An attempt exists and not all its pods run."""
        return _verdicts(Verdict("Ready", "False", reason, message))

    @staticmethod
    def created(attempt: int) -> tuple[Verdict, ...]:
        """The child exists and has no pods yet."""
        return _verdicts(Verdict("Ready", "False", "Created", f"attempt {attempt} was made"))

    @staticmethod
    def running(attempt: int, *, pods: int) -> tuple[Verdict, ...]:
        """All pods of the gang have started; the number makes each start an Event of its own."""
        who = f"the gang of {pods} pods" if pods > 1 else "the pod"
        message = f"attempt {attempt}: {who} trains"
        return _verdicts(Verdict("Ready", "True", "Running", message), running=True)

    @staticmethod
    def restarting(status: TrainJobStatus, explanation: str = "") -> tuple[Verdict, ...]:
        """Between a failed attempt and the next."""
        failure = status.failure
        text = f"{failure.cause}: {failure.message}" if failure else "the gang starts again"
        extra = f" ({explanation})" if explanation else ""
        return _verdicts(Verdict("Ready", "False", "Restarting", f"{text}{extra}"))

    @staticmethod
    def suspending() -> tuple[Verdict, ...]:
        """A checkpoint was asked for, or the pods are ending."""
        text = "waiting for a checkpoint, then for the pods to end"
        return _verdicts(Verdict("Ready", "False", "Suspending", text), suspended="Unknown")

    @staticmethod
    def suspended() -> tuple[Verdict, ...]:
        """No pod runs because the user said so."""
        text = "set spec.suspend to false to go on from the newest checkpoint"
        return _verdicts(Verdict("Ready", "False", "Suspended", text), suspended="True")

    @staticmethod
    def succeeded(artifact: Artifact | None) -> tuple[Verdict, ...]:
        """The gang ended by itself, without error."""
        text = f"the model is at {artifact.uri}" if artifact else "all processes exited with 0"
        return _verdicts(Verdict("Ready", "True", "Succeeded", text), ended="Succeeded")

    @staticmethod
    def failed(failure: Failure) -> tuple[Verdict, ...]:
        """The job gave up."""
        verdict = Verdict("Ready", "False", failure.cause, failure.message)
        return _verdicts(verdict, ended="Failed")

    @staticmethod
    def blocked(reason: str, message: str) -> tuple[Verdict, ...]:
        """Nothing can be made now: bad spec, missing dependency, foreign object, no permission."""
        return _verdicts(Verdict("Ready", "False", reason, message))


def build_status(
    job: _Job, verdicts: Sequence[Verdict], *, phase: Phase, now: datetime
) -> TrainJobStatus:
    """The job's status with a new phase and conditions."""
    conditions = update_conditions(
        job.status.conditions, verdicts, generation=job.generation, now=now
    )
    return job.status.model_copy(
        update={
            "observed_generation": job.generation,
            "phase": phase,
            "conditions": conditions,
        }
    )


# --- progress ---------------------------------------------------------------------------------


def carry_progress(
    status: TrainJobStatus, observed: Observed, spec: TrainJobSpec
) -> TrainJobStatus:
    """Status with the newest report of the current attempt, if there is one."""
    report = observed.progress
    if report is None or not status.attempts or report.attempt != status.attempts[-1].number:
        return status
    attempts = [*status.attempts[:-1], _attempt_progress(status.attempts, report)]
    return status.model_copy(
        update={
            "progress": _progress(status.progress or Progress(), report, spec),
            "checkpoint": report.checkpoint or status.checkpoint,
            "attempts": attempts,
        }
    )


def _progress(before: Progress, report: ProgressFact, spec: TrainJobSpec) -> Progress:
    total = report.integer("total_steps")
    if total is None and spec.trainer:
        total = spec.trainer.schedule.steps
    metrics = report.metrics
    return Progress(
        step=report.integer("step") if "step" in metrics else before.step,
        total_steps=total if total is not None else before.total_steps,
        percent=report.percent if report.percent is not None else before.percent,
        loss=_rounded(metrics.get("loss")) or before.loss,
        validation_loss=_rounded(metrics.get("validation_loss")) or before.validation_loss,
        tokens_per_second=_whole(metrics.get("tokens_per_second")) or before.tokens_per_second,
        eta=None if report.remaining_s is None else format_duration(report.remaining_s),
        last_update_time=format_time(report.advanced_at),
    )


def _attempt_progress(attempts: Sequence[Attempt], report: ProgressFact) -> Attempt:
    current = attempts[-1]
    resumed = report.integer("resumed_step")
    before = attempts[-2].last_step if len(attempts) > 1 else None
    lost = max(0, before - resumed) if before is not None and resumed is not None else None
    step = report.integer("step")
    return current.model_copy(
        update={
            "resumed_step": resumed if resumed is not None else current.resumed_step,
            "last_step": step if step is not None else current.last_step,
            "lost_steps": lost if lost is not None else current.lost_steps,
        }
    )


def _rounded(text: str | None) -> str | None:
    try:
        return f"{float(text):.4g}" if text is not None else None
    except ValueError:
        return None


def _whole(text: str | None) -> str | None:
    try:
        return str(round(float(text))) if text is not None else None
    except (ValueError, OverflowError):
        return None


# --- why a gang has not started ---------------------------------------------------------------


def waiting_verdict(pods: Sequence[PodFact], *, wanted: int, running: int) -> tuple[str, str]:
    """Reason and sentence for a gang whose pods don't all run: the worst news of any pod."""
    count = f"{running} of {wanted} pods run"
    remedy = "create the claim or correct spec.volumes.*.claimName in a new TrainJob"
    return explain_waiting(pods, count, claim_remedy=remedy) or ("Starting", count)

"""Kubeflow Trainer's progress protocol, and what we add to it: from bytes to a `Report`.

`checkpoint` inside `trainerStatus` is ours. Senders that know only the protocol, such as the
callback of transformers, name their metrics differently; those names are understood too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from flagscale_api.v1alpha1.train_job_status import Checkpoint
from flagscale_operator.errors import FlagScaleError
from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kinds.train_job.facts import LARGEST_STEP, whole_number

PATH: Final = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{namespace}/trainjobs/{name}/status"
BODY_LIMIT: Final = 64 * 1024

# First name that is present wins: `train_loss` of transformers is the mean over the whole run.
METRICS: Final[Mapping[str, tuple[str, ...]]] = {
    "step": ("step", "current_step", "global_step"),
    "total_steps": ("total_steps", "max_steps"),
    "loss": ("loss", "train_loss"),
    "validation_loss": ("validation_loss", "eval_loss"),
    "tokens_per_second": ("tokens_per_second", "train_tokens_per_second"),
    "checkpoint_step": ("checkpoint_step",),
    "resumed_step": ("resumed_step",),
    # Shown nowhere: who reads a large corpus does not stand still.
    "prepared_pieces": ("prepared_pieces",),
}


@dataclass
class Refused(FlagScaleError):  # noqa: N818 - it says what happened
    """A post that is answered with an error status."""

    status: int
    message: str
    retry_after_s: int | None = None

    def __str__(self) -> str:
        """The sentence for the sender."""
        return self.message


@dataclass(frozen=True, slots=True)
class Report:
    """What a pod said about its job; metrics under our names, others are dropped."""

    percent: int | None = None
    remaining_s: int | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, extra="ignore")


class _Metric(_Model):
    name: str = Field(max_length=64)
    value: str = Field(max_length=64)


class _Checkpoint(_Model):
    step: int = Field(ge=0, le=LARGEST_STEP)
    path: str | None = Field(default=None, max_length=1024)
    time: AwareDatetime | None = None


class _TrainerStatus(_Model):
    last_updated_time: AwareDatetime
    progress_percentage: int | None = Field(default=None, ge=0, le=100)
    estimated_remaining_seconds: int | None = Field(default=None, ge=0, le=2**31 - 1)
    metrics: tuple[_Metric, ...] | None = Field(default=None, max_length=256)
    checkpoint: _Checkpoint | None = None


class _Body(_Model):
    trainer_status: _TrainerStatus


def parse_report(body: bytes) -> Report:
    """The report in a body of the protocol.

    Raises:
        Refused: 422; the message names each wrong field.
    """
    try:
        status = _Body.model_validate_json(body).trainer_status
    except ValidationError as error:
        raise Refused(422, "; ".join(_sentences(error))) from error
    metrics = _well_known({m.name: m.value for m in status.metrics or ()})
    return Report(
        percent=status.progress_percentage,
        remaining_s=status.estimated_remaining_seconds,
        metrics=metrics,
        checkpoint=_checkpoint(status.checkpoint, metrics),
    )


def _well_known(sent: Mapping[str, str]) -> dict[str, str]:
    named = {
        name: next((sent[n] for n in names if n in sent), None) for name, names in METRICS.items()
    }
    return {name: value for name, value in named.items() if value is not None}


def _checkpoint(sent: _Checkpoint | None, metrics: Mapping[str, str]) -> Checkpoint | None:
    if sent is not None:
        time = format_time(sent.time) if sent.time else None
        return Checkpoint(step=sent.step, path=sent.path, time=time)
    step = whole_number(metrics.get("checkpoint_step"))
    return None if step is None else Checkpoint(step=step)


def _sentences(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in e['loc']) or 'body'}: {e['msg']}, "
        f"got {e['input']!r:.80}; correct the sender"
        for e in error.errors(include_url=False, include_context=False)[:8]
    ]

"""Learning rate by step, and how a global batch is divided."""

import math

from flagscale_api.v1alpha1.trainer import ScheduleSpec
from flagscale_workloads.train.errors import TrainError


def learning_rate(step: int, *, schedule: ScheduleSpec) -> float:
    """Rate of a step (1 is the first): linear warm-up, then cosine down to the minimum."""
    peak, least, warmup = (
        schedule.learning_rate,
        schedule.min_learning_rate,
        schedule.warmup_steps,
    )
    if step <= warmup:
        return peak * step / warmup
    decay = schedule.steps - warmup
    done = min(1.0, (step - warmup) / decay) if decay else 1.0
    return least + (peak - least) * 0.5 * (1.0 + math.cos(math.pi * done))


def accumulation(schedule: ScheduleSpec, *, ranks: int) -> int:
    """Forward passes per rank and step; TrainError unless the global batch divides evenly."""
    batch, micro = schedule.global_batch_size, schedule.micro_batch_size
    if batch % (micro * ranks):
        msg = (
            f"spec.trainer.schedule.globalBatchSize: {batch} is not a multiple of "
            f"microBatchSize {micro} x {ranks} processes = {micro * ranks}; "
            f"use a multiple of {micro * ranks}, or change microBatchSize or the processes"
        )
        raise TrainError("InvalidSpec", msg)
    return batch // (micro * ranks)

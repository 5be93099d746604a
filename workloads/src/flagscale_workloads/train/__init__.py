"""FlagScale's trainer: from text to a Hugging Face model, exactly resumable.

Started as `python3 -m torch.distributed.run -m flagscale_workloads.train`; the environment variable
`FLAGSCALE_TRAIN_CONFIG` names the `TrainRunConfig`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flagscale_workloads.train.trainer import FlagScaleTrainer

__all__ = ["FlagScaleTrainer"]


def __getattr__(name: str) -> object:
    """Import torch only when the trainer is asked for: signals must be handled before that."""
    if name == "FlagScaleTrainer":
        from flagscale_workloads.train.trainer import FlagScaleTrainer

        return FlagScaleTrainer
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

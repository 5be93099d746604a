"""Checkpoints that survive kill -9 at any byte: `<output>/checkpoints/step-00000123/`.

A folder with this name was complete when it got it (see `durable.publish`). What the disk did to
it later shows in its digests; then the checkpoint before it is used.
"""

import contextlib
import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_model, save_model

from flagscale_workloads.train import durable
from flagscale_workloads.train.errors import TrainError, writing

MODEL: Final = "model.safetensors"
STATE: Final = "state.pt"
_NAME: Final = re.compile(r"step-(\d{8,})")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Saved:
    """A published checkpoint."""

    step: int
    path: Path
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of a run."""

    folder: Path
    keep: int

    def save(
        self,
        step: int,
        *,
        model: torch.nn.Module,
        state: dict[str, Any],
        about: dict[str, Any],
        before: Callable[[], None],
    ) -> Saved:
        """Publish a checkpoint, then drop the oldest. `before` is asked as late as possible."""

        def fill(folder: Path) -> None:
            save_model(model, str(folder / MODEL))
            torch.save(state, folder / STATE)

        path = self.folder / f"step-{step:08d}"
        with writing(self.folder):
            manifest = durable.publish(path, fill, about={**about, "step": step}, before=before)
        self._prune(step)
        return Saved(step, path, manifest)

    def newest(self) -> Saved | None:
        """The newest checkpoint that is as it was written; None when there never was one."""
        reason, found = "", self._found()
        for step, path in found:
            reason = durable.damage(path) or ""
            if not reason:
                return Saved(step, path, durable.read_manifest(path))
            _log.warning("checkpoint %s is damaged (%s); trying the one before", path, reason)
        if not found:
            return None
        msg = (
            f"spec.trainer.output.path: none of {len(found)} checkpoint(s) can be read in "
            f"{self.folder}, the last because {reason}; restore one, or move the folder away to "
            "train from the start"
        )
        raise TrainError("CheckpointUnreadable", msg)

    def remove_leftovers(self) -> None:
        """Delete what a writer that died left behind."""
        with writing(self.folder):
            durable.remove_leftovers(self.folder)

    def _found(self) -> list[tuple[int, Path]]:
        """Steps and folders, newest first, whatever their state."""
        paths = self.folder.iterdir() if self.folder.is_dir() else ()
        matches = [(_NAME.fullmatch(path.name), path) for path in paths]
        return sorted(((int(m[1]), path) for m, path in matches if m), reverse=True)

    def _prune(self, step: int) -> None:
        # Newer ones were damaged, or this one would not have been written: they take no place.
        older = [path for at, path in self._found() if at <= step]
        for path in older[self.keep :]:
            with contextlib.suppress(OSError):
                shutil.rmtree(path)


def load(saved: Saved, *, model: torch.nn.Module, device: torch.device) -> dict[str, Any]:
    """Fill the model; the rest of the state. Nothing but tensors and plain values is unpickled."""
    load_model(model, str(saved.path / MODEL), device=str(device))
    state: dict[str, Any] = torch.load(saved.path / STATE, map_location=device, weights_only=True)
    return state

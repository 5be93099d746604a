"""`<output>/model/`: the model as Hugging Face reads it, with a digest over all its files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers.utils import logging as transformers_logging

from flagscale_workloads.train import durable
from flagscale_workloads.train.errors import writing
from flagscale_workloads.train.model import Model
from flagscale_workloads.train.tokenizer import load_tokenizer

FORMAT: Final = "huggingface"


@dataclass(frozen=True, slots=True)
class Artifact:
    """An exported model."""

    path: Path
    digest: str
    size_bytes: int

    def as_json(self) -> dict[str, Any]:
        """The form that the termination log carries."""
        return {
            "uri": str(self.path.absolute()),
            "format": FORMAT,
            "digest": self.digest,
            "sizeBytes": self.size_bytes,
        }


def export_model(
    model: Model, *, tokenizer: Path, target: Path, before: Callable[[], None]
) -> Artifact:
    """Publish model and tokenizer; doing it again with the same weights gives the same digest."""

    def fill(folder: Path) -> None:
        # Progress bars are unreadable in the log of a pod.
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model.save_pretrained(str(folder))
        load_tokenizer(tokenizer).save_pretrained(str(folder))

    with writing(target):
        durable.remove_leftovers(target.parent)
        manifest = durable.publish(target, fill, about={"format": FORMAT}, before=before)
    size = sum(entry["size"] for entry in manifest["files"].values())
    return Artifact(target, manifest["digest"], size)

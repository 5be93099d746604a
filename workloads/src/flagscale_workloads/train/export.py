"""`<output>/model/`: the model as Hugging Face reads it, with a digest over all its files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers.utils import logging as transformers_logging

from flagscale_api.v1alpha1.trainer import OutputSpec
from flagscale_workloads.compress.errors import UnsupportedModelError
from flagscale_workloads.train import durable
from flagscale_workloads.train.errors import TrainError, writing
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


@contextmanager
def _as_gguf(output: OutputSpec) -> Iterator[None]:
    try:
        yield
    except UnsupportedModelError as error:
        msg = f"spec.trainer.output.gguf: not possible, got {output.gguf} ({error}); use none"
        raise TrainError("InvalidSpec", msg) from error


def check_export(output: OutputSpec, *, tokenizer: Path, vocabulary: int) -> None:
    """Raise TrainError now for what the export would fail at after all steps."""
    if output.gguf == "none":
        return
    from flagscale_workloads.compress.gguf_tokenizer import read_tokenizer

    with _as_gguf(output):
        read_tokenizer(tokenizer, vocabulary=vocabulary)


def export_model(
    model: Model, *, output: OutputSpec, tokenizer: Path, target: Path, before: Callable[[], None]
) -> Artifact:
    """Publish model and tokenizer; doing it again with the same weights gives the same digest."""

    def fill(folder: Path) -> None:
        # Progress bars are unreadable in the log of a pod.
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model.save_pretrained(str(folder))
        load_tokenizer(tokenizer).save_pretrained(str(folder))
        if output.gguf != "none":
            from flagscale_workloads.compress.gguf_export import export_gguf

            with _as_gguf(output):
                export_gguf(folder, folder / f"model-{output.gguf}.gguf", dtype=output.gguf)

    with writing(target):
        durable.remove_leftovers(target.parent)
        manifest = durable.publish(target, fill, about={"format": FORMAT}, before=before)
    size = sum(entry["size"] for entry in manifest["files"].values())
    return Artifact(target, manifest["digest"], size)

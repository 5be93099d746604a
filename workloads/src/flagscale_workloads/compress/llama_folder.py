"""A Hugging Face folder with a Llama: its shape, and its weights one at a time."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flagscale_workloads.compress.errors import UnsupportedModelError

ARCHITECTURE: Final = "LlamaForCausalLM"
_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """The hyperparameters of a Llama, in the words of its config.json."""

    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    key_value_heads: int
    head_size: int
    context_length: int
    vocabulary: int
    norm_epsilon: float
    rope_base: float
    tied_embeddings: bool


def read_shape(folder: Path) -> LlamaShape:
    """The shape of a model without biases and without scaled positions.

    Raises UnsupportedModelError for another architecture, or for no readable config.json.
    """
    config = _read_config(folder)
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    _check(config, rope_type=rope.get("rope_type", rope.get("type", "default")))
    heads = config["num_attention_heads"]
    return LlamaShape(
        layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        attention_heads=heads,
        key_value_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        context_length=config["max_position_embeddings"],
        vocabulary=config["vocab_size"],
        norm_epsilon=config["rms_norm_eps"],
        rope_base=rope.get("rope_theta") or config.get("rope_theta") or 10000.0,
        tied_embeddings=config.get("tie_word_embeddings", False),
    )


def read_weights(folder: Path) -> Iterator[tuple[str, Any]]:
    """(name, float32 array) of each weight, in the order of names; one is in memory at a time."""
    from safetensors import safe_open

    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for name, path in sorted(_places(folder).items()):
            if path not in files:
                files[path] = stack.enter_context(safe_open(folder / path, framework="pt"))
            yield name, files[path].get_tensor(name).float().numpy()


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        msg = f"source: no readable config.json, got {folder} ({error}); name a Hugging Face folder"
        raise UnsupportedModelError(msg) from error
    return config


def _check(config: dict[str, Any], *, rope_type: str) -> None:
    architectures = config.get("architectures") or ["none"]
    for name, value, wanted in (
        ("architectures", architectures[0], ARCHITECTURE),
        ("rope_type", rope_type, "default"),
        ("hidden_act", config.get("hidden_act", "silu"), "silu"),
        ("attention_bias", config.get("attention_bias", False), False),
        ("mlp_bias", config.get("mlp_bias", False), False),
        ("quantization_config", config.get("quantization_config"), None),
    ):
        if value != wanted:
            msg = f"config.json {name}: can't be exported, got {value}; only {wanted} is supported"
            raise UnsupportedModelError(msg)


def _places(folder: Path) -> dict[str, str]:
    """File of each weight."""
    from safetensors import safe_open

    try:
        if (folder / _INDEX).is_file():
            places: dict[str, str] = json.loads((folder / _INDEX).read_text())["weight_map"]
            return places
        with safe_open(folder / _SINGLE, framework="pt") as file:
            return dict.fromkeys(file.keys(), _SINGLE)
    except (OSError, ValueError, KeyError) as error:
        msg = f"source: no safetensors, got {folder} ({error}); export the model with safetensors"
        raise UnsupportedModelError(msg) from error

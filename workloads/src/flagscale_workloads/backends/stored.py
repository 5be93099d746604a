"""How a model's files hold their weights, in the words of `engine.quantization`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.gguf_header import file_type

# llama.cpp's enum llama_ftype: what most of the tensors are.
_GGUF_TYPES: Final[dict[int | None, str]] = {0: "none", 1: "f16", 7: "q8_0"}
_DTYPES: Final = frozenset({"bfloat16", "float16", "float32"})
# The second one is Mistral's.
_CONFIGURATIONS: Final = ("config.json", "params.json")
_METHODS: Final = {"fp8": "fp8", "awq": "awq", "gptq": "gptq"}


def check_folder(model: Path) -> None:
    """Raise EngineConfigError for a folder that is no model of Hugging Face, and say what it is.

    Engines would find out only after their long start, and in words of their own.
    """
    held = _held(model)
    if held is None or any(name in held for name in _CONFIGURATIONS):
        return
    files = [name for name in held if name.endswith(".gguf")]
    remedy = "name that file for engine llamacpp" if files else "name a folder that has one"
    if "model_index.json" in held:
        remedy = "it is a pipeline of diffusers, so use engine diffusers where that is offered"
    found = ", ".join((files or held)[:3]) or "nothing"
    msg = f"model.path: has no config.json, got {model} with {found}; {remedy}"
    raise EngineConfigError(msg)


def _held(folder: Path) -> list[str] | None:
    """What is in it; None: it is no folder, or can't be read, which the next check tells."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return None


def check_stored(engine: EngineSpec, model: Path) -> None:
    """Raise EngineConfigError when engine.quantization is not what the model's files hold.

    Engines would convert the weights, or serve them as they are, without a word. `model` is a
    Hugging Face folder or a GGUF file.
    """
    held = stored_quantization(model)
    # 16-bit numbers are not quantized: both words are true of them.
    allowed = {held, "none"} if held == "f16" else {held}
    if engine.quantization not in allowed:
        raise EngineConfigError(
            f"engine.quantization: {model} holds {held}, got {engine.quantization}; "
            f"set engine.quantization: {held}, or serve files with {engine.quantization} weights"
        )


def stored_quantization(model: Path) -> str:
    """What the files hold; a word that no engine takes when it is something else."""
    try:
        if model.suffix == ".gguf":
            number = file_type(model)
            known = None if number is None else _GGUF_TYPES.get(number)
            return known or f"GGUF file type {number}"
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        # A pipeline of diffusers has no config.json at its top.
        return "none"
    except (OSError, ValueError) as error:
        msg = f"model: can't be read, got {model} ({error}); name a Hugging Face folder or a GGUF"
        raise EngineConfigError(msg) from error
    return quantization_in(config)


def stored_dtype(model: Path) -> str | None:
    """Type of the weights by a Hugging Face config; None when it says none that engines know."""
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # transformers wrote the second name until version 5.
    said = config.get("dtype") or config.get("torch_dtype")
    return said if said in _DTYPES else None


def quantization_in(config: Mapping[str, Any]) -> str:
    """The neutral word for the `quantization_config` of a model's config.json."""
    stored = config.get("quantization_config") or {}
    method = str(stored.get("quant_method", "none"))
    return _compressed(stored) if method == "compressed-tensors" else _METHODS.get(method, method)


def _compressed(stored: Mapping[str, Any]) -> str:
    groups = (stored.get("config_groups") or {}).values()
    kinds = {(w.get("type"), w.get("num_bits")) for g in groups if (w := g.get("weights"))}
    words = {("float", 8): "fp8", ("int", 8): "int8"}
    return words.get(kinds.pop(), "compressed-tensors") if len(kinds) == 1 else "compressed-tensors"

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.backends.stored import (
    check_stored,
    quantization_in,
    stored_dtype,
    stored_quantization,
)


def compressed(kind: str, bits: int) -> dict[str, Any]:
    groups = {"group_0": {"weights": {"type": kind, "num_bits": bits}}}
    return {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": groups}}


def gguf(path: Path, number: int) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    array = text("a.list") + struct.pack("<IIQ", 9, 8, 2) + text("x") + text("yy")
    scalar = text("b.flag") + struct.pack("<IB", 7, 1)
    kind = text("general.file_type") + struct.pack("<II", 4, number)
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 3) + array + scalar + kind)
    return path


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({}, "none"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq"),
        ({"quantization_config": {"quant_method": "gptq"}}, "gptq"),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
        (compressed("float", 8), "fp8"),
        (compressed("int", 8), "int8"),
        (compressed("int", 4), "compressed-tensors"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
    ],
)
def test_a_config_tells_how_the_weights_are_stored(config: dict[str, Any], word: str) -> None:
    assert quantization_in(config) == word


@pytest.mark.parametrize(("number", "word"), [(0, "none"), (1, "f16"), (7, "q8_0")])
def test_a_gguf_header_tells_how_the_weights_are_stored(
    tmp_path: Path, number: int, word: str
) -> None:
    assert stored_quantization(gguf(tmp_path / "m.gguf", number)) == word


@pytest.mark.parametrize("asked", ["none", "fp8", "int8"])
def test_files_that_hold_something_else_are_refused(tmp_path: Path, asked: Any) -> None:
    held = {"none": compressed("int", 8), "fp8": {}, "int8": {}}[asked]
    (tmp_path / "config.json").write_text(json.dumps(held))
    with pytest.raises(EngineConfigError, match=r"engine\.quantization: .* holds"):
        check_stored(EngineSpec(name="vllm", quantization=asked), tmp_path)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["m-q8_0.gguf", "a.txt"], "with m-q8_0.gguf; name that file for engine llamacpp"),
        (["model_index.json"], "it is a pipeline of diffusers"),
        (["a", "b", "c", "d"], "with a, b, c; name a folder that has one"),
        ([], "with nothing; name a folder"),
    ],
)
@pytest.mark.parametrize("engine", ["vllm", "sglang", "transformers"])
def test_a_folder_that_is_no_model_is_refused_before_the_engine_starts(
    tmp_path: Path, engine: Any, files: list[str], told: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(EngineConfigError, match=r"model\.path: has no config\.json, got") as caught:
        adapter_of(engine).check_model(EngineSpec(name=engine), tmp_path)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "params.json"])
def test_a_folder_with_a_configuration_is_a_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    adapter_of("vllm").check_model(EngineSpec(name="vllm"), tmp_path)


@pytest.mark.parametrize(("number", "asked"), [(1, "none"), (1, "f16"), (7, "q8_0"), (0, "none")])
def test_a_gguf_that_holds_what_was_asked_for_is_taken(
    tmp_path: Path, number: int, asked: Any
) -> None:
    spec = EngineSpec(name="llamacpp", quantization=asked)
    check_stored(spec, gguf(tmp_path / "m.gguf", number))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 40])
def test_a_broken_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(EngineConfigError, match="can't be read"):
        stored_quantization(path)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"dtype": "float32"}, "float32"),
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "float8_e4m3fn"}, None),
        ({}, None),
    ],
)
def test_a_config_tells_the_type_of_the_weights(
    tmp_path: Path, config: dict[str, Any], word: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert stored_dtype(tmp_path) == word


def test_a_gguf_tells_no_type_of_the_weights(tmp_path: Path) -> None:
    assert stored_dtype(tmp_path / "model.gguf") is None

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from transformers import AutoTokenizer, LlamaForCausalLM

from flagscale_workloads.compress.errors import UnsupportedModelError
from flagscale_workloads.compress.gguf_export import Dtype, arrange, export_gguf
from flagscale_workloads.compress.llama_folder import read_shape, read_weights

MakeLlama = Callable[..., Path]
GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "model.layers.1.self_attn.q_proj.weight": "blk.1.attn_q.weight",
    "model.layers.1.self_attn.k_proj.weight": "blk.1.attn_k.weight",
    "model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight",
    "model.layers.1.post_attention_layernorm.weight": "blk.1.ffn_norm.weight",
}


def metadata(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in GGUFReader(path).fields.items()}


def test_a_file_tells_the_shape_of_its_model(make_llama: MakeLlama, tmp_path: Path) -> None:
    told = metadata(export_gguf(make_llama(), tmp_path / "m.gguf", dtype="f16"))
    assert told["general.architecture"] == "llama"
    expected = {
        "block_count": 2, "context_length": 128, "embedding_length": 64, "feed_forward_length": 96,
        "attention.head_count": 4, "attention.head_count_kv": 2, "attention.key_length": 16,
        "rope.dimension_count": 16, "rope.freq_base": 10000.0,
    }  # fmt: skip
    assert {name: told[f"llama.{name}"] for name in expected} == expected
    assert told["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)


def test_a_file_carries_the_tokenizer(make_llama: MakeLlama, tmp_path: Path) -> None:
    folder = make_llama()
    told = metadata(export_gguf(folder, tmp_path / "m.gguf", dtype="f16"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = told["tokenizer.ggml.tokens"]
    assert tokens == tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert (told["tokenizer.ggml.model"], told["tokenizer.ggml.pre"]) == ("gpt2", "gpt-2")
    assert told["tokenizer.ggml.token_type"] == [3] + [1] * (len(tokens) - 1)
    merges = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
    assert told["tokenizer.ggml.merges"] == [" ".join(pair) for pair in merges]
    assert told["tokenizer.ggml.bos_token_id"] == told["tokenizer.ggml.eos_token_id"] == 0
    assert told["tokenizer.ggml.add_bos_token"] is False
    assert told["tokenizer.chat_template"] == tokenizer.chat_template


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["f16", "q8_0"])
def test_weights_read_back_equal_the_source(
    make_llama: MakeLlama, tmp_path: Path, *, tied: bool, dtype: Dtype
) -> None:
    folder = make_llama(tie_word_embeddings=tied)
    path = export_gguf(folder, tmp_path / "m.gguf", dtype=dtype)
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    source = dict(read_weights(folder))
    assert len(tensors) == len(source) == (20 if tied else 21)
    for theirs, ours in GGUF_NAMES.items():
        if theirs not in source:
            continue
        weight = arrange(theirs, source[theirs], read_shape(folder))
        tensor = tensors[ours]
        assert list(tensor.shape) == list(reversed(weight.shape))
        read = dequantize(tensor.data, tensor.tensor_type)
        if weight.ndim == 1:
            assert np.array_equal(read, weight)
        elif dtype == "f16":
            assert np.array_equal(read, weight.astype(np.float16).astype(np.float32))
        else:
            blocks = np.abs(weight).reshape(-1, 32).max(axis=1, keepdims=True)
            # Half a step of the block, and the rounding of its scale to float16.
            bound = blocks / 127 * 0.5 + blocks * 2**-11
            assert (np.abs(read - weight).reshape(-1, 32) <= bound + 1e-7).all()


def test_rows_of_a_head_are_interleaved(make_llama: MakeLlama) -> None:
    shape = read_shape(make_llama())
    rows = np.arange(32, dtype=np.float32).reshape(32, 1)
    arranged = arrange("model.layers.0.self_attn.k_proj.weight", rows, shape).ravel()
    assert arranged[:6].tolist() == [0, 8, 1, 9, 2, 10]
    assert arranged[16:20].tolist() == [16, 24, 17, 25]
    assert arrange("model.layers.0.self_attn.v_proj.weight", rows, shape) is rows


def test_rows_that_fill_no_block_stay_f16(make_llama: MakeLlama, tmp_path: Path) -> None:
    folder = make_llama(intermediate_size=80)
    reader = GGUFReader(export_gguf(folder, tmp_path / "m.gguf", dtype="q8_0"))
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["blk.0.ffn_down.weight"] == "F16"
    assert types["blk.0.ffn_up.weight"] == "Q8_0"


def test_a_vocabulary_beyond_the_tokenizer_is_padded(make_llama: MakeLlama, tmp_path: Path) -> None:
    path = export_gguf(make_llama(vocab_size=400), tmp_path / "m.gguf", dtype="f16")
    assert metadata(path)["tokenizer.ggml.tokens"][-1] == "[PAD399]"
    assert metadata(path)["tokenizer.ggml.token_type"][-1] == 5


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("architectures", ["MistralForCausalLM"], "only LlamaForCausalLM"),
        ("attention_bias", True, "attention_bias: can't be exported, got True"),
        ("rope_parameters", {"rope_type": "llama3", "rope_theta": 1.0}, "got llama3"),
        ("vocab_size", 10, "only 10 embeddings"),
    ],
)
def test_what_llama_cpp_would_misread_is_refused(
    make_llama: MakeLlama, tmp_path: Path, field: str, value: object, told: str
) -> None:
    folder = make_llama()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {field: value}))
    with pytest.raises(UnsupportedModelError, match=told):
        export_gguf(folder, tmp_path / "m.gguf", dtype="f16")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("normalizer", {"type": "Lowercase"}, "normalizer"),
        ("pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer"),
        ("model", {"type": "Unigram"}, "got Unigram"),
    ],
)
def test_other_tokenizers_are_refused(
    make_llama: MakeLlama, tmp_path: Path, field: str, value: object, told: str
) -> None:
    folder = make_llama()
    definition = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(definition | {field: value}))
    with pytest.raises(UnsupportedModelError, match=told):
        export_gguf(folder, tmp_path / "m.gguf", dtype="f16")


def test_a_failure_leaves_the_older_file_alone(make_llama: MakeLlama, tmp_path: Path) -> None:
    folder, target = make_llama(), tmp_path / "out" / "m.gguf"
    before = export_gguf(folder, target, dtype="f16").read_bytes()
    model: Any = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = 1e6
    model.save_pretrained(folder)
    with pytest.raises(UnsupportedModelError, match="outside the range of float16, got 1000000"):
        export_gguf(folder, target, dtype="f16")
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]

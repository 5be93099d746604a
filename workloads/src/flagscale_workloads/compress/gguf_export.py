"""A Llama of Hugging Face as a GGUF file for llama.cpp."""

import os
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_VERSION, GGMLQuantizationType, GGUFWriter, LlamaFileType, quants

from flagscale_workloads.compress.errors import UnsupportedModelError
from flagscale_workloads.compress.gguf_tokenizer import MODEL, GgufTokenizer, read_tokenizer
from flagscale_workloads.compress.llama_folder import LlamaShape, read_shape, read_weights
from flagscale_workloads.train import durable

Dtype = Literal["f16", "q8_0"]
Array = npt.NDArray[Any]

_ARCHITECTURE: Final = "llama"
_Q8_BLOCK: Final = 32
_LARGEST_F16: Final = 65504.0


def export_gguf(source: Path, target: Path, *, dtype: Dtype) -> Path:
    """Write a Llama folder as a GGUF file, which appears whole or not at all; its path.

    Vectors stay float32. With q8_0 a matrix whose rows are no multiple of 32 is kept as f16.
    Raises UnsupportedModelError for what GGUF or llama.cpp would not read as it is.
    """
    shape = read_shape(source)
    tokenizer = read_tokenizer(source, vocabulary=shape.vocabulary)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{durable.LEFTOVER}{target.name}-{os.getpid()}")
    try:
        _write(beside, source=source, shape=shape, tokenizer=tokenizer, dtype=dtype)
        durable.sync(beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    durable.sync(target.parent)
    return target


def _write(
    path: Path, *, source: Path, shape: LlamaShape, tokenizer: GgufTokenizer, dtype: Dtype
) -> None:
    """Two passes over the weights: GGUF has the list of all tensors before the first one."""
    writer = GGUFWriter(path, _ARCHITECTURE)
    try:
        _add_shape(writer, shape, name=source.name, dtype=dtype)
        _add_tokenizer(writer, tokenizer)
        _add_tensors(writer, source, names=_gguf_names(shape), dtype=dtype)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, weight in read_weights(source):
            writer.write_tensor_data(encode(arrange(name, weight, shape), dtype=dtype)[0])
    finally:
        writer.close()


def _add_tensors(writer: GGUFWriter, source: Path, *, names: dict[str, str], dtype: Dtype) -> None:
    """List all tensors. Raises UnsupportedModelError for one too many or one too few."""
    missing = set(names)
    for name, weight in read_weights(source):
        if name not in names:
            msg = f"weight {name}: has no place in a GGUF Llama, got {weight.shape}; remove it"
            raise UnsupportedModelError(msg)
        missing.remove(name)
        data, kind = encode(weight, dtype=dtype)
        writer.add_tensor_info(names[name], data.shape, data.dtype, data.nbytes, kind)
    if missing:
        msg = f"weight {min(missing)}: is missing, got {len(missing)} such; export the whole model"
        raise UnsupportedModelError(msg)


def arrange(name: str, weight: Array, shape: LlamaShape) -> Array:
    """A weight as llama.cpp wants it.

    Hugging Face rotates the two halves of a head, llama.cpp neighbouring pairs; so rows of the
    query and key projections are interleaved, as in llama.cpp's convert_hf_to_gguf.py.
    """
    for projection, heads in (("q", shape.attention_heads), ("k", shape.key_value_heads)):
        if name.endswith(f".{projection}_proj.weight"):
            halves = weight.reshape(heads, 2, -1, weight.shape[1])
            return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))
    return weight


def encode(weight: Array, *, dtype: Dtype) -> tuple[Array, GGMLQuantizationType]:
    """The bytes of a weight, and how ggml stores them."""
    if weight.ndim < 2:
        return weight.astype(np.float32), GGMLQuantizationType.F32
    if dtype == "q8_0" and weight.shape[-1] % _Q8_BLOCK == 0:
        kind = GGMLQuantizationType.Q8_0
        return quants.quantize(weight, kind), kind
    largest = float(np.abs(weight).max())
    if not largest <= _LARGEST_F16:
        msg = f"weights: outside the range of float16, got {largest}; clip them before the export"
        raise UnsupportedModelError(msg)
    return weight.astype(np.float16), GGMLQuantizationType.F16


def _gguf_names(shape: LlamaShape) -> dict[str, str]:
    """GGUF's name of each weight that a Llama of this shape has."""
    layer = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if not shape.tied_embeddings:
        names["lm_head.weight"] = "output.weight"
    for index in range(shape.layers):
        for theirs, ours in layer.items():
            names[f"model.layers.{index}.{theirs}.weight"] = f"blk.{index}.{ours}.weight"
    return names


def _add_shape(writer: GGUFWriter, shape: LlamaShape, *, name: str, dtype: Dtype) -> None:
    writer.add_name(name)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.attention_heads)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    kinds = {"f16": LlamaFileType.MOSTLY_F16, "q8_0": LlamaFileType.MOSTLY_Q8_0}
    writer.add_file_type(kinds[dtype])
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _add_tokenizer(writer: GGUFWriter, tokenizer: GgufTokenizer) -> None:
    writer.add_tokenizer_model(MODEL)
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(tokenizer.types)
    writer.add_token_merges(tokenizer.merges)
    writer.add_add_bos_token(tokenizer.adds_bos)
    writer.add_add_eos_token(tokenizer.adds_eos)
    if tokenizer.bos is not None:
        writer.add_bos_token_id(tokenizer.bos)
    if tokenizer.eos is not None:
        writer.add_eos_token_id(tokenizer.eos)
    if tokenizer.chat_template is not None:
        writer.add_chat_template(tokenizer.chat_template)

"""The model and its optimizer."""

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from flagscale_api.v1alpha1.trainer import TrainerSpec

# transformers decorates its classes in a way that type checkers see as untyped.
Model = Any


def build_model(spec: TrainerSpec, *, vocabulary: int, bos: int | None, eos: int | None) -> Model:
    """A Llama with random weights; the seed must be set before."""
    shape = spec.model
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.attention_heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=spec.data.sequence_length,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=shape.tie_word_embeddings,
        bos_token_id=bos,
        eos_token_id=eos,
    )
    config._attn_implementation = "sdpa"
    return LlamaForCausalLM(config)


def build_optimizer(model: Model, *, spec: TrainerSpec) -> torch.optim.AdamW:
    """AdamW; norms and biases are not decayed."""
    weights = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": spec.schedule.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.schedule.learning_rate, betas=(0.9, 0.95), fused=True)

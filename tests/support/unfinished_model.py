"""A model of a few kilobytes that never ends a character: each token begins another one."""

from pathlib import Path
from typing import Any, Final

FIRST_BYTE: Final = "ó"
"""0xF3, first of four bytes, as byte-level BPE spells it."""
CONTEXT_TOKENS: Final = 256


def write_unfinished_model(folder: Path) -> Path:
    """A GGUF file; whatever it is asked, its likeliest token is the same lone byte."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from flagscale_workloads.compress.gguf_export import export_gguf
    from flagscale_workloads.train.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(300, texts=iter(["The quick brown foxes. " * 30]))
    make_model: Any = LlamaForCausalLM
    model = make_model(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=4, num_key_value_heads=2, bos_token_id=0, eos_token_id=0,
            max_position_embeddings=CONTEXT_TOKENS, tie_word_embeddings=False,
        )
    )  # fmt: skip
    with torch.no_grad():
        # All tokens look the same, no layer adds anything, and one token alone scores.
        for weight in model.model.layers.parameters():
            if weight.ndim > 1:
                weight.zero_()
        model.model.embed_tokens.weight.fill_(1.0)
        model.lm_head.weight.zero_()
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(FIRST_BYTE)] = 1.0
    source = folder / "source"
    model.save_pretrained(str(source))
    tokenizer.save_pretrained(str(source))
    return export_gguf(source, folder / "unfinished.gguf", dtype="q8_0")

"""A Llama as our trainer exports it, small enough to be read back in milliseconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from flagscale_workloads.train.tokenizer import train_tokenizer

TEXT = "The quick brown foxes jump over the lazy dogs, and nobody minds. " * 30
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


@pytest.fixture
def make_llama(tmp_path: Path) -> Callable[..., Path]:
    """A folder with model and tokenizer; keyword arguments replace parts of the shape."""

    def make(**parts: Any) -> Path:
        folder = tmp_path / "model"
        tokenizer = train_tokenizer(320, texts=iter([TEXT]))
        tokenizer.chat_template = TEMPLATE
        tokenizer.save_pretrained(folder)
        torch.manual_seed(1)
        config = LlamaConfig(
            **{
                "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 96,
                "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
                "max_position_embeddings": 128, "tie_word_embeddings": True,
                "bos_token_id": 0, "eos_token_id": 0, **parts,
            }
        )  # fmt: skip
        make_model: Any = LlamaForCausalLM
        make_model(config).save_pretrained(folder)
        return folder

    return make

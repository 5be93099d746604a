from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from flagscale_workloads.inference.errors import LoadError
from flagscale_workloads.inference.folder import Settings
from flagscale_workloads.inference.text_model import TextModel
from flagscale_workloads.train.tokenizer import load_tokenizer

from .conftest import NAME
from .test_generation import PROMPTS, Client, together

SHAPE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3,
    "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    # Learnt positions; positions as a bias; a sliding window; windows in some layers.
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.3},
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3},
    "Mistral": {**SHAPE, "sliding_window": 8},
    "Gemma3Text": {**SHAPE, "head_dim": 8, "sliding_window": 8,
                   "layer_types": ["sliding_attention", "full_attention"]},
    "Mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}  # fmt: skip


def load(kind: str, folder: Path, llama: Path) -> TextModel:
    tokenizer = load_tokenizer(llama)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(vocab_size=len(tokenizer), **KINDS[kind])
    make: Any = transformers.AutoModelForCausalLM
    make.from_config(config).save_pretrained(folder)
    own = hasattr(config, "max_position_embeddings")
    length = None if own else 256
    model = TextModel(Settings("transformers", folder, NAME, "cpu", "float32",
                               context_length=length))  # fmt: skip
    model.warm_up()
    return model


@pytest.mark.parametrize("kind", ["GPT2", "Bloom", "Mistral", "Gemma3Text"])
def test_a_batch_says_what_transformers_says(kind: str, tmp_path: Path, llama: Path) -> None:
    model = load(kind, tmp_path, llama)
    clients = [Client(model, prompt) for prompt in PROMPTS]
    together(model, clients, steps_between=1)
    for client, prompt in zip(clients, PROMPTS, strict=True):
        tokens = model.tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            theirs = model.network.generate(
                tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=24,
                min_new_tokens=24, do_sample=False, pad_token_id=0, eos_token_id=None,
            )  # fmt: skip
        assert client.ids == theirs[0, tokens.shape[1] :].tolist()


def test_a_model_without_keys_and_values_is_refused(tmp_path: Path, llama: Path) -> None:
    with pytest.raises(LoadError, match="serve it with vLLM"):
        load("Mamba", tmp_path, llama)

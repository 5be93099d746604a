"""`dtype: auto` is what the model says, proved by the numbers that come out."""

from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from support.tiny_model import tiny_model

from .conftest import SERVED, Served, engines

PROMPT = "The import statement combines two operations; it searches for the named module,"
TOKENS = 16
# The model says float32; its GGUF file has 16-bit weights. bfloat16 is off by about 0.016.
BOUNDS = {"vllm": 1e-3, "sglang": 1e-3, "transformers": 1e-3, "llamacpp": 1e-2}


def expected(tokenizer: Any, written: list[str]) -> list[float]:
    """Log-probability of each of the tokens after the prompt, in float32.

    They are looked up one by one: their text as a whole may be cut into others.
    """
    model: Any = LlamaForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
    tokens = tokenizer(PROMPT)["input_ids"]
    ids = {tokenizer.decode([token]): token for token in range(len(tokenizer))}
    chosen = [ids[token] for token in written]
    with torch.inference_mode():
        logits = model.eval()(torch.tensor([tokens + chosen])).logits[0]
    rows = torch.log_softmax(logits, -1)[len(tokens) - 1 : -1]
    return [float(row[token]) for row, token in zip(rows, chosen, strict=True)]


@engines(*BOUNDS)
def test_auto_computes_in_the_type_of_the_model(engine: Served) -> None:
    assert engine.spec.dtype == "auto"
    answer = engine.client.completions.create(
        model=SERVED, prompt=PROMPT, max_tokens=TOKENS, temperature=0, logprobs=1
    )
    told = answer.choices[0].logprobs
    assert told
    assert told.tokens
    assert told.token_logprobs
    right = expected(AutoTokenizer.from_pretrained(tiny_model()), told.tokens)
    assert len(right) == TOKENS
    assert told.token_logprobs == pytest.approx(right, abs=BOUNDS[engine.spec.name])
    off = max(abs(a - b) for a, b in zip(told.token_logprobs, right, strict=True))
    print(f"\n{engine.spec.name}: log-probabilities off by at most {off:.6f}")

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


def expected(tokenizer: Any, text: str) -> list[float]:
    """Log-probability of each of the last tokens of prompt and text, in float32."""
    model: Any = LlamaForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
    tokens = tokenizer(PROMPT)["input_ids"]
    written = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model.eval()(torch.tensor([tokens + written])).logits[0]
    chosen = torch.log_softmax(logits, -1)[len(tokens) - 1 : -1]
    return [float(row[token]) for row, token in zip(chosen, written, strict=True)]


@engines(*BOUNDS)
def test_auto_computes_in_the_type_of_the_model(engine: Served) -> None:
    assert engine.spec.dtype == "auto"
    answer = engine.client.completions.create(
        model=SERVED, prompt=PROMPT, max_tokens=TOKENS, temperature=0, logprobs=1
    )
    choice = answer.choices[0]
    told = choice.logprobs
    assert told
    assert told.token_logprobs
    tokenizer = AutoTokenizer.from_pretrained(tiny_model())
    right = expected(tokenizer, choice.text)
    assert len(right) == TOKENS
    assert told.token_logprobs == pytest.approx(right, abs=BOUNDS[engine.spec.name])
    off = max(abs(a - b) for a, b in zip(told.token_logprobs, right, strict=True))
    print(f"\n{engine.spec.name}: log-probabilities off by at most {off:.6f}")

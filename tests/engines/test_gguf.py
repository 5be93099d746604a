"""llama.cpp computes with an exported file what transformers computes with its source."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from flagscale_workloads.compress.gguf_export import Dtype, export_gguf
from support.engines import engine_python
from support.tiny_model import tiny_model

TEXTS = [
    "The import statement",
    "user: What's a class? It isn't 42...\n\n    def f(x):\treturn x**2  # naïve café 你好 🦊\n",
    "  leading   and  trailing  ",
]
READER = """
import json, sys
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=256, n_threads=1, logits_all=True, verbose=False)
read = {"tokens": [], "logits": []}
for text in json.load(sys.stdin):
    tokens = model.tokenize(text.encode(), add_bos=True, special=True)
    model.reset()
    model.eval(tokens)
    read["tokens"].append(tokens)
    read["logits"].append(model.scores[: len(tokens)].tolist())
json.dump(read, sys.stdout)
"""


def read_by_llama_cpp(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(engine_python("llamacpp")), "-c", READER, str(path)],
        input=json.dumps(TEXTS), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@pytest.mark.parametrize(("dtype", "bound"), [("f16", 0.01), ("q8_0", 0.25)])
def test_logits_are_those_of_transformers(tmp_path: Path, dtype: Dtype, bound: float) -> None:
    source = tiny_model()
    read = read_by_llama_cpp(export_gguf(source, tmp_path / "model.gguf", dtype=dtype))
    tokenizer = AutoTokenizer.from_pretrained(source)
    model: Any = LlamaForCausalLM.from_pretrained(source)
    model.eval()
    for text, tokens, logits in zip(TEXTS, read["tokens"], read["logits"], strict=True):
        assert tokens == tokenizer(text)["input_ids"]
        with torch.inference_mode():
            expected = model(torch.tensor([tokens])).logits[0].numpy()
        difference = np.abs(np.array(logits) - expected).max()
        print(f"{dtype}: {len(tokens)} tokens, largest difference {difference:.4f}")
        assert difference < bound
        if dtype == "f16":
            assert np.array_equal(np.argmax(logits, 1), expected.argmax(1))

"""Speculation makes answers faster, never different."""

from pathlib import Path
from typing import Any

from support.tiny_model import tiny_model

from .conftest import SERVED, START_TIMEOUT_S, Served, start

# The tiny model repeats itself, which is what drafts from the prompt are good at.
ASKED: dict[str, Any] = {
    "model": SERVED,
    "prompt": "The import statement",
    "max_tokens": 200,
    "temperature": 0,
}
METHODS = {"llamacpp": ["ngram"], "vllm": ["ngram", "draft"]}


def text_with(served: Served) -> str:
    try:
        served.process.wait_for_token(SERVED, timeout_s=START_TIMEOUT_S)
        return str(served.client.completions.create(**ASKED).choices[0].text)
    finally:
        served.client.close()
        served.process.kill()


def test_a_speculating_engine_gives_the_same_text(engine: Served, tmp_path: Path) -> None:
    methods = METHODS.get(engine.spec.name, [])
    assert bool(methods) == ("speculative" in engine.adapter.capabilities_on("cpu").settings)
    plain = engine.client.completions.create(**ASKED).choices[0].text
    for method in methods:
        draft = {"draftModel": str(tiny_model())} if method == "draft" else {}
        speculative = {"method": method, "tokens": 3, **draft}
        assert text_with(start(engine.spec.name, tmp_path, speculative=speculative)) == plain

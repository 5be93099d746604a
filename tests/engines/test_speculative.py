"""Speculation makes answers faster, never different."""

from pathlib import Path
from typing import Any

import pytest

from flagscale_api.v1alpha1.engine import EngineName
from support.tiny_model import tiny_model

from .conftest import SERVED, START_TIMEOUT_S, Served, start

# The tiny model repeats itself, which is what drafts from the prompt are good at.
ASKED = {"model": SERVED, "prompt": "The import statement", "max_tokens": 200, "temperature": 0}


def text_with(name: EngineName, folder: Path, **fields: Any) -> str:
    served: Served = start(name, folder, **fields)
    try:
        served.process.wait_for_token(SERVED, timeout_s=START_TIMEOUT_S)
        return str(served.client.completions.create(**ASKED).choices[0].text)
    finally:
        served.client.close()
        served.process.kill()


@pytest.mark.parametrize(
    ("name", "method"), [("llamacpp", "ngram"), ("vllm", "ngram"), ("vllm", "draft")]
)
def test_a_speculating_engine_gives_the_same_text(name: Any, method: str, tmp_path: Path) -> None:
    draft = {"draftModel": str(tiny_model())} if method == "draft" else {}
    plain = text_with(name, tmp_path)
    speculative = {"method": method, "tokens": 3, **draft}
    assert text_with(name, tmp_path, speculative=speculative) == plain

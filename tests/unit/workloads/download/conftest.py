"""A hub with a small model, and where it is to appear."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.model_downloads import REPO, safetensors
from support.model_hub import ModelHub

WEIGHTS = 3 << 20


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Weights, settings, and what must not be taken."""
    folder = tmp_path / "hub" / REPO
    (folder / "original").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors(WEIGHTS))
    (folder / "original" / "params.json").write_text("[]")
    for name in ("pytorch_model.bin", "modeling_tiny.py", ".gitattributes", "tiny-f16.gguf"):
        (folder / name).write_bytes(b"no")
    return folder


@pytest.fixture
def hub(repository: Path) -> Iterator[ModelHub]:
    server = ModelHub(repository.parents[1]).run()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "claim" / "downloaded" / "tiny"

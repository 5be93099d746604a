from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.serve.model_digest import ModelDigestError, check_digest
from flagscale_workloads.train.durable import publish


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, str]:
    """A folder as training leaves it, and its digest."""

    def fill(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        (folder / "model-q8_0.gguf").write_bytes(b"GGUF")

    manifest = publish(tmp_path / "model", fill, about={})
    return tmp_path / "model", manifest["digest"]


def test_the_model_that_was_asked_for_is_taken(published: tuple[Path, str]) -> None:
    folder, digest = published

    check_digest(folder, digest)
    check_digest(folder / "model-q8_0.gguf", digest)


def test_another_model_is_refused_by_its_digest(published: tuple[Path, str]) -> None:
    folder, digest = published

    with pytest.raises(ModelDigestError, match=f"another model than sha256:0, got {digest}; "):
        check_digest(folder, "sha256:0")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda f: (f / "config.json").write_text("{ }"), "config.json is not as .* got 3 bytes"),
        (lambda f: (f / "config.json").unlink(), "config.json is not as .* got None bytes"),
        (lambda f: (f / "manifest.json").unlink(), "tells none, got FileNotFoundError"),
        (lambda f: (f / "manifest.json").write_text("[]"), "tells none, got TypeError"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff"), "tells none, got UnicodeDecodeErr"),
    ],
)
def test_a_damaged_folder_is_refused(published: tuple[Path, str], harm: Any, told: str) -> None:
    folder, digest = published
    harm(folder)

    with pytest.raises(ModelDigestError, match=f"^model.digest: .*{told}"):
        check_digest(folder, digest)

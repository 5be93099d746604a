import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "images" / "corpus" / "copy_corpus.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("copy_corpus", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_corpus_is_copied_once(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    assert script.copy(tmp_path / "in", tmp_path / "out")
    assert not script.copy(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "text"


def test_a_half_written_corpus_is_replaced(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    (tmp_path / "out").write_text("te")
    assert script.copy(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "text"


def test_no_partial_file_is_left_behind(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    script.copy(tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]

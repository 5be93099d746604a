import re
import sys
from pathlib import Path

import pytest

from support.cluster.errors import ClusterError
from support.engines.environment import ENGINES, READY, ROOT, environment
from support.engines.wheel import LLAMA, llama_wheel, locked_source, wheel_key

LOCK = """
[[package]]
name = "llama-cpp-python"
version = "1.2.3"
sdist = { url = "x", hash = "sha256:ab" }
"""


def project(root: Path, lock: str = LOCK) -> Path:
    folder = root / "images" / "engines" / "llamacpp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "uv.lock").write_text(lock)
    return folder


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_has_a_locked_project(engine: str, tmp_path: Path) -> None:
    found = environment(engine, project=ROOT / "images" / "engines" / engine, cache=tmp_path)
    assert re.fullmatch(rf"{engine}-[0-9a-f]{{12}}", found.folder.name)
    assert not found.ready


def test_another_lock_makes_another_environment(tmp_path: Path) -> None:
    made = project(tmp_path)
    before = environment("llamacpp", project=made, cache=tmp_path).folder
    assert environment("llamacpp", project=made, cache=tmp_path).folder == before
    project(tmp_path, LOCK + "\n")
    assert environment("llamacpp", project=made, cache=tmp_path).folder != before


def test_an_environment_is_ready_only_with_its_marker(tmp_path: Path) -> None:
    """An interrupted installation leaves an interpreter behind, but no marker."""
    found = environment("llamacpp", project=project(tmp_path), cache=tmp_path)
    found.python.parent.mkdir(parents=True)
    found.python.touch()
    assert not found.ready
    (found.folder / READY).touch()
    assert found.ready


def test_the_source_to_compile_is_the_locked_one_with_its_hash(tmp_path: Path) -> None:
    lock = project(tmp_path) / "uv.lock"
    assert locked_source(lock, LLAMA) == "llama-cpp-python==1.2.3 --hash=sha256:ab"
    with pytest.raises(ClusterError, match="no package other; run `uv lock"):
        locked_source(lock, "other")


def test_a_wheel_is_keyed_by_version_python_and_machine() -> None:
    key = wheel_key("llama-cpp-python==1.2.3 --hash=sha256:ab")
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert key.startswith(f"llama-cpp-python-1.2.3-{python}-")


def test_a_compiled_wheel_is_not_compiled_again(tmp_path: Path) -> None:
    folder = project(tmp_path)
    made = tmp_path / "wheels" / wheel_key(locked_source(folder / "uv.lock", LLAMA)) / "l.whl"
    made.parent.mkdir(parents=True)
    made.touch()
    assert llama_wheel(folder, cache=tmp_path, log=tmp_path / "log") == made

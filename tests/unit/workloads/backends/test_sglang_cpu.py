from pathlib import Path

import pytest

from flagscale_workloads.backends import sglang_cpu
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.versions import installed_version

from .conftest import Launcher


def test_the_stand_in_is_named_and_comes_first(launch: Launcher) -> None:
    made = launch("sglang", version="0.5.23")
    assert made.patches == ("sgl_kernel stand-in for sglang 0.5.23 on cpu",)
    overlay = Path(made.environment["PYTHONPATH"])
    assert (overlay / "sgl_kernel" / "__init__.py").exists()


def test_a_version_it_was_not_checked_with_is_refused(launch: Launcher) -> None:
    with pytest.raises(EngineConfigError, match=r"got sglang 0\.6\.0; install sglang 0\.5\.23"):
        launch("sglang", version="0.6.0")


def test_a_gpu_takes_any_version(launch: Launcher) -> None:
    assert launch("sglang", "cuda", version="0.6.0").patches == ()


def test_the_stand_in_itself_refuses_the_same_versions() -> None:
    text = (sglang_cpu.OVERLAY / "sgl_kernel" / "__init__.py").read_text()
    for version in sglang_cpu.CHECKED:
        assert f'"{version}"' in text


def test_a_version_is_found_beside_an_interpreter(tmp_path: Path) -> None:
    about = tmp_path / "lib/python3.11/site-packages/sglang-1.2.3.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sglang\nVersion: 1.2.3\n")
    assert installed_version(tmp_path / "bin/python", "sglang") == "1.2.3"
    assert installed_version(tmp_path / "bin/python", "vllm") is None

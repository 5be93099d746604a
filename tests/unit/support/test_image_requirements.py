from importlib.metadata import distributions, version
from pathlib import Path
from runpy import run_path

from support.images.context import read_sources
from support.images.requirements import common, without
from support.images.roles import BY_NAME

ROOT = Path(__file__).parents[3]
OURS = b"""\
networkx==3.6.1 ; python_full_version < '3.12' \\
    --hash=sha256:aa
networkx==3.7 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
numpy==2.5.5 \\
    --hash=sha256:cc
torch==2.15.0 \\
    --hash=sha256:dd \\
    --hash=sha256:ee
"""
ENGINES = b"""\
networkx==3.7 ; sys_platform == 'linux' \\
    --hash=sha256:bb
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
numpy==2.3.5 ; python_full_version < '3.12' \\
    --hash=sha256:ff
torch==2.15.0 ; sys_platform == 'linux' \\
    --hash=sha256:dd
"""


def test_only_what_has_the_same_versions_is_common() -> None:
    assert common(ENGINES, OURS) == {"networkx", "torch"}
    assert common(ENGINES, b"") == frozenset()


def test_a_requirement_goes_with_its_hashes() -> None:
    left = without(ENGINES, frozenset({"networkx", "torch"})).decode()
    assert left.count("numpy==") == 2
    assert "torch" not in left
    assert left.count("--hash") == 2


def test_the_image_of_sglang_holds_torch_and_its_libraries_once() -> None:
    sources = read_sources(ROOT, BY_NAME["sglang"], "base")
    assert {"torch", "triton", "nvidia-cudnn-cu13"} <= sources.shared
    own = [line.split(b"==")[0] for line in sources.engine.splitlines() if b"==" in line]
    assert b"sglang" in own
    # Of NVIDIA only what asks the driver, which is small.
    assert [name for name in own if name.startswith(b"nvidia")] == [b"nvidia-ml-py"]


def test_shared_packages_are_found_with_their_versions(tmp_path: Path) -> None:
    share = run_path(str(ROOT / "images" / "sglang" / "share.py"))["share"]
    share(["packaging", "pluggy"], tmp_path / "shared")
    found = {d.name: d.version for d in distributions(path=[str(tmp_path / "shared")])}
    assert found == {name: version(name) for name in ("packaging", "pluggy")}
    assert (tmp_path / "shared" / "packaging" / "__init__.py").exists()

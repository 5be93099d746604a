import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flagscale_workloads.serve.scratch import (
    PREFIX,
    engine_folder,
    folder_variables,
    temporary_root,
)

HOLD = """
import sys, pathlib
from flagscale_workloads.serve.scratch import engine_folder
with engine_folder(pathlib.Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_goes_with_all_that_lies_in_it(tmp_path: Path) -> None:
    with engine_folder(tmp_path) as folder:
        (folder / "socket").touch()
        (folder / "sub").mkdir()
        assert folder_variables(folder, {})["TMPDIR"] == str(folder)

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    held = Path(holder.stdout.readline().strip())
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / "fs-others").mkdir()

    with engine_folder(tmp_path):
        assert held.exists()
    holder.kill()
    holder.communicate()
    assert held.exists()
    with engine_folder(tmp_path):
        assert not held.exists()

    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{PREFIX}file", "fs-others"]


def test_folders_that_are_made_at_the_same_time_are_not_taken_for_left_ones(tmp_path: Path) -> None:
    def is_there(_: int) -> bool:
        with engine_folder(tmp_path) as folder:
            return folder.exists()

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(is_there, range(2000)))


def test_a_path_too_long_for_an_engines_sockets_is_not_used() -> None:
    assert temporary_root({"TMPDIR": "/var/tmp"}) == Path("/var/tmp")
    assert temporary_root({"TMPDIR": "/long" * 20}) == Path("/tmp")


def test_what_is_compiled_outlives_the_engine(tmp_path: Path) -> None:
    root = {"TMPDIR": "/var/tmp"}
    first, second = (folder_variables(tmp_path / name, root) for name in ("a", "b"))

    assert first["TORCHINDUCTOR_CACHE_DIR"] == second["TORCHINDUCTOR_CACHE_DIR"]
    assert Path(first["TORCHINDUCTOR_CACHE_DIR"]).parent == Path("/var/tmp")
    own = folder_variables(tmp_path / "a", {"TORCHINDUCTOR_CACHE_DIR": "/compiled"})
    assert own["TORCHINDUCTOR_CACHE_DIR"] == "/compiled"

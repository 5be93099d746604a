"""The program as a pod runs it: killed anywhere, started again, and what it says."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flagscale_api.runtime.download import DownloadConfig
from support.kube_wait import wait_for
from support.model_downloads import hub_config, names
from support.model_hub import ModelHub

TESTS = Path(__file__).parents[3]
WEIGHTS = "model.safetensors"


def start(config: DownloadConfig, **options: object) -> "subprocess.Popen[str]":
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    # As in a pod: nothing but the model's folder can be written.
    environ = {"PATH": os.environ["PATH"], "HOME": "/proc/none", "FLAGSCALE_DOWNLOAD": text}
    command = [sys.executable, "-m", "flagscale_workloads.download"]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        command, env=environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )


def kill_once_written(
    process: "subprocess.Popen[str]", folder: Path, count: int
) -> Callable[[int], None]:
    """The server sends no further before the bytes are on the disk, and the process is dead."""
    partial = folder.with_name(f".{folder.name}.partial") / "files" / f"{WEIGHTS}.partial"

    def size() -> int:
        return partial.stat().st_size if partial.exists() else 0

    def on_block(sent: int) -> None:
        if sent > count and process.returncode is None:
            wait_for(size, lambda written: written >= count, timeout_s=30)
            process.kill()

    return on_block


def test_killed_at_any_byte_it_goes_on_where_it_was(
    hub: ModelHub, folder: Path, repository: Path
) -> None:
    for limit in (0, 1 << 19, 1 << 20, 2 << 20):
        process = start(hub_config(hub, folder))
        hub.on_block = kill_once_written(process, folder, limit)
        _, told = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, told
        assert not folder.exists()
    hub.on_block = lambda _: None
    hub.seen.clear()

    last = start(hub_config(hub, folder))
    _, told = last.communicate(timeout=60)

    assert last.returncode == 0, told
    (range_,) = [wanted for path, wanted, _ in hub.seen if path.endswith(WEIGHTS)]
    assert int(range_.removeprefix("bytes=").removesuffix("-")) >= 2 << 20
    assert (folder / WEIGHTS).read_bytes() == (repository / WEIGHTS).read_bytes()
    assert sorted(p.name for p in folder.parent.iterdir()) == [".tiny.lock", "tiny"]


def test_killed_before_any_file_operation_it_does_no_harm(
    hub: ModelHub, folder: Path, repository: Path
) -> None:
    (repository / "original/params.json").unlink()
    (repository / WEIGHTS).write_bytes(bytes(1 << 17))
    config = hub_config(hub, folder).model_dump_json(by_alias=True, exclude_none=True)
    command = [sys.executable, "-m", "support.killed_downloads", config]
    done = subprocess.run(
        command, cwd=TESTS, capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.splitlines()[-1]) > 20


def test_two_at_once_download_once(hub: ModelHub, folder: Path) -> None:
    processes = [start(hub_config(hub, folder)) for _ in range(2)]
    told = [process.communicate(timeout=60)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], told
    asked = [path for path, _, _ in hub.seen if path.endswith(WEIGHTS)]
    assert len(asked) == 1
    assert "is here already" in "".join(told)


def test_a_branch_that_moved_does_not_mix_two_models(
    hub: ModelHub, folder: Path, repository: Path
) -> None:
    process = start(hub_config(hub, folder))
    hub.on_block = kill_once_written(process, folder, 1 << 20)
    process.communicate(timeout=60)
    hub.on_block = lambda _: None
    (repository / WEIGHTS).write_bytes((repository / WEIGHTS).read_bytes()[::-1])

    again = start(hub_config(hub, folder))
    again.communicate(timeout=60)

    assert again.returncode == 0
    assert (folder / WEIGHTS).read_bytes() == (repository / WEIGHTS).read_bytes()


def test_a_full_disk_is_told_in_a_sentence(hub: ModelHub, folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = start(hub_config(hub, folder), preexec_fn=limit)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "ModelDiskFull: " in told
    assert "free or enlarge the claim" in told
    assert "Traceback" not in told
    assert names(folder.parent) == []


def test_it_ends_at_once_when_it_is_told_to(hub: ModelHub, folder: Path) -> None:
    process = start(hub_config(hub, folder))
    hub.on_block = lambda _: process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


@pytest.mark.parametrize("text", ["", "{}", '{"folder": 1}'])
def test_a_configuration_that_can_not_be_read_is_told(text: str) -> None:
    environ = {**os.environ, "FLAGSCALE_DOWNLOAD": text}
    command = [sys.executable, "-m", "flagscale_workloads.download"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "FLAGSCALE_DOWNLOAD: not valid" in done.stderr
    assert len(done.stderr.splitlines()) == 1

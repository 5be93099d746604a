"""Engines of many processes under `python -m flagscale_workloads.serve`: none outlives it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flagscale_api.v1alpha1.engine import EngineName
from support.cluster.commands import tail
from support.engine_process import free_port, wait_until
from support.engines import engine_python

from .conftest import SERVED, START_TIMEOUT_S, model_for, spec_of


@contextmanager
def served(name: EngineName, folder: Path, temporary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The serving process with one ready engine, which keeps its temporary files below a folder."""
    config = {
        "model": {"name": SERVED, "path": str(model_for(name, folder))},
        "engine": spec_of(name).model_dump(by_alias=True, exclude_none=True),
        "processes": {"python": str(engine_python(name))},
        "gateway": {"port": free_port()},
    }
    path, log = folder / "serve.json", folder / "serve.log"
    path.write_text(json.dumps(config))
    environ = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "flagscale_workloads.serve", str(path)], env=environ, stderr=out
        )
    try:
        wait_until(
            lambda: "ready at" in log.read_text() or process.poll() is not None,
            timeout_s=START_TIMEOUT_S,
            what="ready",
        )
        assert process.poll() is None, tail(log, 40)
        yield process
    finally:
        process.kill()
        process.wait(10)


def family(temporary: Path) -> set[int]:
    """Pids of what keeps its temporary files in a folder of an engine there."""
    wanted = f"TMPDIR={temporary}/fs-".encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_no_process_outlives_a_killed_serving_process(name: EngineName, tmp_path: Path) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    with served(name, tmp_path, temporary) as process:
        assert len(family(temporary)) > 1

        process.kill()

        wait_until(lambda: not family(temporary), timeout_s=20, what="the end of all processes")


def test_nothing_of_an_engine_is_left_after_a_clean_stop(tmp_path: Path) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    with served("vllm", tmp_path, temporary) as process:
        (folder,) = temporary.glob("fs-*")
        assert list(folder.iterdir()) != []

        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == 0
    assert family(temporary) == set()
    assert list(temporary.glob("fs-*")) == []

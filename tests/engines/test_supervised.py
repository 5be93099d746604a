"""An engine of several processes under `python -m flagscale_workloads.serve`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from support.cluster.commands import tail
from support.engine_process import free_port, wait_until
from support.engines import engine_python

from .conftest import SERVED, START_TIMEOUT_S, model_for, spec_of


def test_no_process_of_an_engine_outlives_a_killed_serving_process(tmp_path: Path) -> None:
    config = {
        "model": {"name": SERVED, "path": str(model_for("vllm", tmp_path))},
        "engine": spec_of("vllm").model_dump(by_alias=True, exclude_none=True),
        "processes": {"python": str(engine_python("vllm"))},
        "gateway": {"port": free_port()},
    }
    path, log = tmp_path / "serve.json", tmp_path / "serve.log"
    path.write_text(json.dumps(config))
    with log.open("wb") as out:
        serving = subprocess.Popen(
            [sys.executable, "-m", "flagscale_workloads.serve", str(path)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=out,
        )
    try:
        wait_until(
            lambda: "ready at" in log.read_text() or serving.poll() is not None,
            timeout_s=START_TIMEOUT_S,
            what="ready",
        )
        assert serving.poll() is None, tail(log, 40)
        family = psutil.Process(serving.pid).children(recursive=True)
    finally:
        serving.kill()
        serving.wait(10)

    # The guard, vLLM's server and its core, at least.
    assert len(family) > 2
    assert psutil.wait_procs(family, timeout=20)[1] == []

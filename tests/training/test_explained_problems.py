"""Problems that are really made on this machine, and what `flagscale explain` says of them.

Others are made where they can be: missing claim, user exception, wrong data and no GPU by the
tables of every runner; image pull, quota and memory limit in tests/e2e; a missing controller in
tests/apiserver; a missing Secret and a refused download beside this.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from flagscale_runner.base import Manifest, Target
from flagscale_runner.local.runner import LocalRunner
from support.engine_process import wait_until
from support.model_hub import ModelHub
from support.runner_conformance import trained
from support.training_run import text

NAME = "troubled"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home")}


@pytest.fixture
def runner(tmp_path: Path, environ: dict[str, str]) -> Iterator[LocalRunner]:
    found = LocalRunner.of(environ)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "corpus.txt").write_text(text())
    found.use_folder("default", "data", tmp_path / "data")
    yield found
    for kind in ("TrainJob", "InferenceService"):
        if found.status(Target(kind, "default", NAME)):
            found.stop(Target(kind, "default", NAME))


def body(kind: str, **spec: Any) -> Manifest:
    return {"apiVersion": "flagscale.dev/v1alpha1", "kind": kind,
            "metadata": {"name": NAME}, "spec": spec}  # fmt: skip


def script(code: str) -> Manifest:
    return body("TrainJob", script={"image": "none/here:1", "command": ["python3", "-c", code]})


def explain(environ: dict[str, str]) -> dict[str, str]:
    """What the command line says, as programs read it; something has to be wrong."""
    command = [sys.executable, "-m", "flagscale_runner", "explain", NAME, "-o", "json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_a_port_in_use_and_the_exit_code_of_a_failed_run(
    runner: LocalRunner, environ: dict[str, str], tmp_path: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        code = f"import socket; socket.socket().bind(('127.0.0.1', {port}))"
        file = tmp_path / "job.json"
        file.write_text(json.dumps(script(code)))
        command = [sys.executable, "-m", "flagscale_runner", "run", str(file)]
        followed = subprocess.run(command, env=environ, capture_output=True, timeout=120)
    found = explain(environ)
    assert followed.returncode == 1
    assert (found["cause"], "another port" in found["step"]) == ("PortInUse", True)


def test_an_expired_token(runner: LocalRunner, environ: dict[str, str], tmp_path: Path) -> None:
    hub = ModelHub(tmp_path).run()
    hub.token = "renewed"
    code = f"import urllib.request; urllib.request.urlopen('{hub.url}/api/models/a/b')"
    try:
        runner.wait(runner.submit(script(code)), lambda _: None)
    finally:
        hub.shutdown()
        hub.server_close()
    found = explain(environ)
    assert (found["cause"], "renew the token" in found["step"]) == ("ExpiredCredentials", True)


def test_more_memory_than_there_is(runner: LocalRunner, environ: dict[str, str]) -> None:
    runner.wait(runner.submit(script("import torch; torch.empty(1 << 50)")), lambda _: None)
    found = explain(environ)
    assert (found["cause"], "microBatchSize" in found["step"]) == ("OutOfMemory", True)


def test_an_engine_argument(runner: LocalRunner, environ: dict[str, str]) -> None:
    engine = {"name": "simulator", "extraArgs": {"max-modle-len": 1}}
    model = {"volume": {"claimName": "data"}}
    runner.wait(runner.submit(body("InferenceService", model=model, engine=engine)), lambda _: None)
    found = explain(environ)
    assert (found["cause"], "spec.engine" in found["step"]) == ("EngineArguments", True)
    assert "max-modle-len" in found["evidence"]


def test_a_hang(runner: LocalRunner, environ: dict[str, str], tmp_path: Path) -> None:
    trainer = trained("")["trainer"]
    endless = {**trainer, "schedule": {**trainer["schedule"], "steps": 100_000}}
    policy = {"hangTimeoutSeconds": 10, "restartBudgets": {"hang": 0}}
    volumes = {"data": {"claimName": "data", "mountPath": "/data"}}
    job = body("TrainJob", trainer=endless, failurePolicy=policy, volumes=volumes)
    target = runner.submit(job)
    wait_until(lambda: reached(runner, target), timeout_s=60, what="it trains")
    ranks = list(trainers_below(tmp_path))
    for rank in ranks:
        rank.send_signal(signal.SIGSTOP)

    runner.wait(target, lambda _: None)
    found = explain(environ)
    for rank in ranks:  # so that they can take the signal of their end
        rank.send_signal(signal.SIGCONT)
    assert ranks
    assert (found["cause"], "logs of all ranks" in found["step"]) == ("Hang", True)


def trainers_below(home: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):  # others come and go
            words = process.info["cmdline"] or ()
            if "flagscale_workloads.train" in words and str(home) in process.environ()["HOME"]:
                yield process


def reached(runner: LocalRunner, target: Target) -> bool:
    status = (runner.status(target) or {}).get("status") or {}
    return int((status.get("progress") or {}).get("step") or 0) > 2

"""TrainJobs on this machine, by the command line's own runner: killed anywhere, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from flagscale_runner.base import Manifest, RunnerError, Target
from flagscale_runner.local.runner import LocalRunner
from flagscale_runner.waiting import existing
from support.engine_process import wait_until
from support.local_pods import pods_below
from support.training_run import MODEL, text

NAME = Target("TrainJob", "default", "tiny")


def job(*, steps: int = 60, **spec: Any) -> Manifest:
    trainer = {
        "model": MODEL,
        "tokenizer": {"vocabSize": 300},
        "data": {"path": "/data/a.txt", "sequenceLength": 16},
        "output": {"path": "/data/out"},
        "schedule": {"steps": steps, "globalBatchSize": 4, "microBatchSize": 2, "warmupSteps": 2,
                     "evalInterval": 20, "logInterval": 1},
        "checkpoint": {"intervalSteps": 20},
    }  # fmt: skip
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": NAME.name},
        "spec": {
            "trainer": trainer,
            "volumes": {"data": {"claimName": "corpus", "mountPath": "/data"}},
            "failurePolicy": {"backoffSeconds": 1},
            **spec,
        },
    }


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[LocalRunner]:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text(text())
    environ = {**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home")}
    found = LocalRunner.of(environ)
    found.use_folder("default", "corpus", tmp_path / "corpus")
    yield found
    for process in (*pods_below(tmp_path), *agents(tmp_path)):
        process.send_signal(signal.SIGKILL)


def groups(processes: Iterable[psutil.Process]) -> set[int]:
    """Process groups, which a child keeps that has thrown the mark away."""
    found = set()
    for process in processes:
        with suppress(ProcessLookupError):
            found.add(os.getpgid(process.pid))
    return found


def left_of(wanted: set[int]) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if groups([p]) & wanted
            and p.status() != psutil.STATUS_ZOMBIE]  # fmt: skip


def agents(home: Path) -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if "flagscale_runner.local" in (p.info["cmdline"] or ())
        and any(str(home) in word for word in p.info["cmdline"])
    ]


def step_of(body: Manifest) -> int:
    return int(((body.get("status") or {}).get("progress") or {}).get("step") or 0)


def wait_for(runner: LocalRunner, holds: Callable[[Manifest], bool], what: str) -> Manifest:
    seen: list[Manifest] = []

    def look() -> bool:
        seen.append(existing(runner, NAME))
        return holds(seen[-1])

    wait_until(look, timeout_s=120, what=what)
    return seen[-1]


def finish(runner: LocalRunner, home: Path) -> dict[str, Any]:
    status: dict[str, Any] = runner.wait(NAME, lambda _: None)["status"]
    assert status["phase"] == "Succeeded", status
    assert not pods_below(home)
    return status


def test_two_pods_train_and_leave_a_model(runner: LocalRunner, tmp_path: Path) -> None:
    runner.submit(job(replicas=2))
    status = finish(runner, tmp_path)

    assert status["artifact"]["uri"] == "pvc://corpus/out/model"
    assert (tmp_path / "corpus" / "out" / "model" / "model.safetensors").exists()
    assert status["progress"]["step"] == 60
    assert any("[tiny-a1-worker-0] step 60/60" in line for line in runner.logs(NAME, follow=False))


def test_a_killed_agent_is_replaced_and_the_run_does_not_notice(
    runner: LocalRunner, tmp_path: Path
) -> None:
    runner.submit(job(steps=150))
    wait_for(runner, lambda b: step_of(b) > 10, "it trains")
    for agent in agents(tmp_path):
        agent.kill()

    status = finish(runner, tmp_path)
    assert [a["number"] for a in status["attempts"]] == [1]


def test_an_interrupted_or_killed_command_line_attaches_again(
    runner: LocalRunner, tmp_path: Path
) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job()))
    # A shell that runs the tests in the background has them, and their children, ignore it.
    heeding = ["env", "--default-signal=INT"]
    command = [*heeding, sys.executable, "-m", "flagscale_runner", "run", str(file)]
    environ = {**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home")}
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout
            assert first.stdout.readline().startswith("tiny: ")
            first.send_signal(number)
            # Before its output is closed, which would end it in another way.
            assert first.wait(timeout=60) == code

    again = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "tiny: Succeeded: the model is at pvc://corpus/out/model" in again.stdout
    assert [a["number"] for a in finish(runner, tmp_path)["attempts"]] == [1]


HOLDER, RANK = "flagscale_runner.local.container", "flagscale_workloads.train"


def kill(processes: Sequence[psutil.Process]) -> None:
    assert processes
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("whom", ["holder", "rank", "everything"])
def test_what_is_killed_restarts_the_gang_from_its_checkpoint_and_nothing_is_orphaned(
    runner: LocalRunner, tmp_path: Path, whom: str
) -> None:
    runner.submit(job(steps=100))
    wait_for(runner, lambda b: step_of(b) > 20, "it trains")
    first = pods_below(tmp_path)
    before = groups(first)
    if whom == "everything":
        kill([*agents(tmp_path), *first])
    else:
        word = HOLDER if whom == "holder" else RANK
        kill([p for p in first if word in p.cmdline()][-1:])

    status = finish(runner, tmp_path)
    assert [a.get("cause") for a in status["attempts"]] == ["Killed", None]
    assert status["attempts"][1]["resumedStep"] >= 20
    assert left_of(before) == []


def test_a_process_that_left_its_session_and_environment_ends_with_its_pod(
    runner: LocalRunner, tmp_path: Path
) -> None:
    file = tmp_path / "corpus" / "pid"
    code = (
        "import pathlib, subprocess, sys, time; "
        "child = subprocess.Popen(['sleep', '1000'], env={}, start_new_session=True); "
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(1000)"
    )
    body = job()
    del body["spec"]["trainer"]
    program = {"image": "a/b:1", "command": ["python3", "-c", code, "/data/pid"]}
    runner.submit({**body, "spec": {**body["spec"], "script": program}})
    wait_until(lambda: file.exists() and file.read_text() != "", timeout_s=60, what="it runs")
    fled = psutil.Process(int(file.read_text()))
    runner.stop(NAME)
    assert not fled.is_running() or fled.status() == psutil.STATUS_ZOMBIE


def test_a_suspended_run_goes_on_where_it_was(runner: LocalRunner, tmp_path: Path) -> None:
    runner.submit(job(steps=150))
    wait_for(runner, lambda b: step_of(b) > 40, "it trains")
    runner.suspend(NAME, suspend=True)
    body = runner.wait(NAME, lambda _: None)
    assert body["status"]["phase"] == "Suspended"
    assert not pods_below(tmp_path)

    runner.suspend(NAME, suspend=False)
    wait_for(runner, lambda b: b["status"]["phase"] == "Running", "it goes on")
    assert finish(runner, tmp_path)["attempts"][-1]["resumedStep"] > 40


def test_a_stopped_run_leaves_no_process(runner: LocalRunner, tmp_path: Path) -> None:
    runner.submit(job(steps=100_000, replicas=2))
    wait_for(runner, lambda b: step_of(b) > 0, "it trains")
    runner.stop(NAME)

    assert not pods_below(tmp_path)
    assert runner.status(NAME) is None


def test_a_missing_folder_is_told_and_waited_for(runner: LocalRunner, tmp_path: Path) -> None:
    volumes = {"data": {"claimName": "elsewhere", "mountPath": "/data"}}
    runner.submit(job(volumes=volumes))

    def told(body: Manifest) -> bool:
        conditions = (body.get("status") or {}).get("conditions") or ()
        return any(c["reason"] == "VolumeClaimMissing" for c in conditions)

    wait_for(runner, told, "the missing folder is told")
    runner.use_folder("default", "elsewhere", tmp_path / "corpus")
    finish(runner, tmp_path)


def test_another_spec_under_the_name_of_a_run_is_refused(runner: LocalRunner) -> None:
    runner.submit(job(steps=100_000))
    with pytest.raises(RunnerError, match="runs with another spec"):
        runner.submit(job(steps=5))
    runner.stop(NAME)

"""What every runner has to make of a few TrainJobs: one table, whichever runner it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flagscale_runner.base import Manifest, Runner, Target
from flagscale_runner.cli.options import Where
from flagscale_runner.explain.explain import explained
from support.training_run import MODEL

Spec = dict[str, Any]
KILL_ONCE = """
import os, pathlib, signal, sys
marker = pathlib.Path(sys.argv[1])
if not marker.exists():
    marker.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Outcome:
    """What a user sees in the end; messages, times and names of pods aside."""

    phase: str
    true: tuple[str, ...]
    reason: str
    causes: tuple[str | None, ...] = (None,)
    exit_code: int | None = None
    explained: str = "None"
    progress: tuple[str, ...] = ()
    """Fields of progress, with their values where these are the same each time."""


@dataclass(frozen=True)
class Case:
    name: str
    spec: Callable[[str], Spec]
    """By the image of the trainer."""
    wanted: Outcome
    waits: bool = False
    """It does not end: its Ready condition gets the reason."""


def trained(_image: str) -> Spec:
    schedule = {"steps": 20, "globalBatchSize": 4, "microBatchSize": 2, "warmupSteps": 2,
                "evalInterval": 10, "logInterval": 1}  # fmt: skip
    return {"trainer": {
        "model": MODEL, "tokenizer": {"vocabSize": 300},
        "data": {"path": "/data/corpus.txt", "sequenceLength": 16},
        "output": {"path": "/data/trained"}, "schedule": schedule,
    }}  # fmt: skip


def without_data(image: str) -> Spec:
    trainer = trained(image)["trainer"]
    return {"trainer": {**trainer, "data": {**trainer["data"], "path": "/data/none.txt"},
                        "output": {"path": "/data/without-data"}}}  # fmt: skip


def program(code: str, *arguments: str) -> Callable[[str], Spec]:
    def spec(image: str) -> Spec:
        return {"script": {"image": image, "command": ["python3", "-c", code, *arguments]}}

    return spec


def killed_always(image: str) -> Spec:
    spec = program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")(image)
    return {**spec, "failurePolicy": {"backoffSeconds": 1, "restartBudgets": {"killed": 1}}}


def elsewhere(image: str) -> Spec:
    claim = {"claimName": "elsewhere", "mountPath": "/data"}
    return {**trained(image), "volumes": {"data": claim}}


FINISHED = ("lastUpdateTime", "loss", "percent=100", "step=20", "tokensPerSecond",
            "totalSteps=20", "validationLoss")  # fmt: skip
"""Of 20 steps."""
CASES = (
    Case(
        "trained",
        trained,
        Outcome("Succeeded", ("Ready", "Succeeded"), "Succeeded", progress=FINISHED),
    ),
    Case(
        "raises",
        program("raise ValueError('no such column')"),
        Outcome("Failed", ("Failed",), "UserError", ("UserError",), 1, "UserException"),
    ),
    Case(
        "without-data",
        without_data,
        Outcome("Failed", ("Failed",), "InvalidData", ("InvalidData",), 1, "WrongData"),
    ),
    Case(
        "killed-once",
        program(KILL_ONCE, "/data/was-killed"),
        Outcome("Succeeded", ("Ready", "Succeeded"), "Succeeded", ("Killed", None)),
    ),
    Case(
        "killed-always",
        killed_always,
        Outcome("Failed", ("Failed",), "Killed", ("Killed", "Killed"), None, "Killed"),
    ),
    Case(
        "elsewhere",
        elsewhere,
        Outcome("Starting", (), "VolumeClaimMissing", explained="VolumeClaimMissing"),
        waits=True,
    ),
)


def outcome(runner: Runner, case: Case, *, image: str, namespace: str, where: Where) -> Outcome:
    """Run a case to its end; what became of it."""
    target = runner.submit(body_of(case, image, namespace))
    body = _reason_given(runner, target, case) if case.waits else runner.wait(target, _nothing)
    found = explained(body, runner.surroundings(target), where=where)
    runner.stop(target)
    assert runner.status(target) is None
    status, failure = body["status"], body["status"].get("failure") or {}
    conditions = {c["type"]: c for c in status["conditions"]}
    return Outcome(
        phase=status["phase"],
        true=tuple(sorted(t for t, c in conditions.items() if c["status"] == "True")),
        reason=conditions["Ready"]["reason"],
        causes=tuple(a.get("cause") for a in status["attempts"]),
        exit_code=failure.get("exitCode") if status["phase"] == "Failed" else None,
        explained=found.cause,
        progress=progress_of(body),
    )


def progress_of(body: Manifest) -> tuple[str, ...]:
    """What is told of how far it is, at its end: before, it depends on when one looks."""
    if body["status"].get("phase") != "Succeeded":
        return ()
    fixed = ("step", "totalSteps", "percent")
    found = (body["status"].get("progress") or {}).items()
    return tuple(sorted(f"{key}={value}" if key in fixed else key for key, value in found))


def _nothing(_body: Manifest) -> None:
    return


def body_of(case: Case, image: str, namespace: str) -> Manifest:
    volumes = {"data": {"claimName": "data", "mountPath": "/data"}}
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": case.name, "namespace": namespace},
        "spec": {"volumes": volumes, "failurePolicy": {"backoffSeconds": 1}, **case.spec(image)},
    }


def _reason_given(runner: Runner, target: Target, case: Case) -> Manifest:
    deadline = time.monotonic() + 90
    while True:
        body = runner.status(target) or {}
        conditions = (body.get("status") or {}).get("conditions") or ()
        if any(c["reason"] == case.wanted.reason for c in conditions):
            return body
        assert time.monotonic() < deadline, conditions
        time.sleep(0.2)

"""Injected problems, as the API server, the kubelet and our programs word them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flagscale_runner.base import Surroundings
from flagscale_runner.explain.explain import explained

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
Body = dict[str, Any]


def job(phase: str, *, reason: str = "", message: str = "", **failure: Any) -> Body:
    return _body("TrainJob", phase, reason, message, {"failure": failure} if failure else {})


def service(phase: str, *, reason: str, message: str) -> Body:
    return _body("InferenceService", phase, reason, message, {})


def tool(reason: str, message: str) -> Body:
    """One that is not ready; it has no phase."""
    body = _body("AgentTool", "", reason, message, {})
    del body["status"]["phase"]
    return body


def _body(kind: str, phase: str, reason: str, message: str, more: Body) -> Body:
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    status = {"phase": phase, "observedGeneration": 1, "conditions": [ready], **more}
    return {"kind": kind, "metadata": metadata(), "spec": {}, "status": status}


def metadata(*, age_s: float = 60) -> Body:
    made = (NOW - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"name": "x", "namespace": "team", "generation": 1, "creationTimestamp": made}


def event(message: str, reason: str = "FailedCreate") -> Body:
    return {"type": "Warning", "reason": reason, "message": message}


def pod(*, waiting: Body | None = None, ended: Body | None = None, unscheduled: str = "") -> Body:
    states = {"waiting": waiting} if waiting else {"terminated": ended} if ended else {}
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": unscheduled}  # fmt: skip
    status = {"containerStatuses": [{"name": "c", "state": states}],
              "conditions": [condition] if unscheduled else []}  # fmt: skip
    return {"metadata": {"name": "x-a1-worker-0"}, "status": status}


@dataclass(frozen=True)
class Case:
    cause: str
    body: Body
    step: str
    pods: list[Body] = field(default_factory=list)
    events: list[Body] = field(default_factory=list)


CASES = [
    Case(
        "VolumeClaimMissing",
        job("Starting", reason="Starting", message="0 of 1 pods run"),
        "create the claim",
        pods=[pod(unscheduled='0/1 nodes are available: persistentvolumeclaim "it" not found.')],
    ),
    Case(
        "ImagePull",
        job("Starting", reason="ImagePull", message="0 of 1 pods run; pod x: ErrImagePull: 404"),
        "imagePullSecrets",
    ),
    Case(
        "QuotaExceeded",
        job("Starting", reason="Starting", message="0 of 2 pods run"),
        "kubectl describe resourcequota -n team",
        events=[event('pods "x-a1-worker-0" is forbidden: exceeded quota: small, used: cpu=2')],
    ),
    Case(
        "NoGpu",
        job("Starting", reason="Unschedulable", message="0 of 1 pods run"),
        "device plugin",
        pods=[pod(unscheduled="0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")],
    ),
    Case(
        "NotEnoughRoom",
        job("Starting", reason="Unschedulable", message="0/3 nodes are available"),
        "ask for less",
    ),
    Case(
        "OutOfMemory",
        job("Failed", cause="OutOfMemory", message="rank 0 on pod x: the kernel killed a process"),
        "microBatchSize",
    ),
    Case(
        "OutOfMemory",
        service("Pending", reason="OutOfMemory", message="pod x exited with 137"),
        "limits.memory",
    ),
    Case(
        "UserException",
        job("Failed", cause="UserError", message="rank 0 on pod x: ValueError: no such column"),
        "traceback",
    ),
    Case("Hang", job("Restarting", cause="Hang", message="no progress for 600 s"), "all ranks"),
    Case(
        "WrongData",
        job("Failed", cause="InvalidData", message="trainer.data.path: is empty, got /data/a.txt"),
        "correct the data file",
    ),
    Case(
        "EngineArguments",
        service(
            "Failed",
            reason="ConfigError",
            message="engine.extraArgs.max-modle-len: unknown argument; did you mean max-model-len?",
        ),
        "correct spec.engine",
    ),
    Case(
        "PortInUse",
        service("Failed", reason="EngineExited", message="pod x exited with 1"),
        "another port",
        pods=[
            pod(ended={"reason": "Error", "exitCode": 1,
                       "message": "OSError: [Errno 98] error while attempting to bind on address "
                       "('127.0.0.1', 8000): address already in use"})
        ],
    ),
    Case(
        "ControllerMissing",
        job("Pending", reason="DependencyMissing", message="the kind PyTorchJob is not installed"),
        "install",
    ),
    Case(
        "ExpiredCredentials",
        service("Pending", reason="ModelUnauthorized", message="the hub refuses the token"),
        "renew the token",
    ),
    Case(
        "ExpiredCredentials",
        job("Failed", cause="UserError", message="HTTPError: 401 Unauthorized: token has expired"),
        "renew the token",
    ),
    Case(
        "DiskFull",
        job("Failed", cause="OutputUnwritable", message="[Errno 28] No space left on device"),
        "free space",
    ),
    Case(
        "PodSecurity",
        job("Starting", reason="Starting"),
        "spec.podTemplate",
        events=[event('pods "x" is forbidden: violates PodSecurity "restricted:latest"')],
    ),
    Case(
        "SecretMissing",
        job("Starting", reason="ContainerError", message="0 of 1 pods run"),
        "create the Secret",
        pods=[pod(waiting={"reason": "CreateContainerConfigError",
                           "message": 'secret "hugging-face" not found'})],
    ),
    Case(
        "TrainJobNotReady",
        service("Pending", reason="TrainJobNotFound", message="TrainJob x does not exist"),
        "flagscale explain trainjob/NAME",
    ),
    Case("ToolUnreachable", tool("DoesNotResolve", "a.example: does not resolve"), "its URL"),
    Case("ToolForbidden", tool("ForbiddenAddress", "10.0.0.1: is private"), "internalHosts"),
    Case("ToolChanged", tool("SchemaDrifted", "are not those that were approved"), "approve it"),
    Case("ToolNameTaken", tool("DuplicateName", "AgentTool b is older"), "spec.name"),
    Case("ToolAnswersBadly", tool("NoAgentCard", "no card there"), "what the server answers"),
    Case("MatcherMissing", tool("NoMatcher", "no matcher is installed"), "matcher.enabled=true"),
    Case("InvalidSpec", tool("InvalidParameters", "spec.parameters: is wrong"), "the field"),
    Case("Deadline", job("Failed", cause="Deadline", message="ran for 60 s"), "activeDeadline"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.cause}-{case.body['kind']}")
def test_the_cause_and_the_next_step_are_named(case: Case) -> None:
    around = Surroundings(case.pods, case.events)
    found = explained(case.body, around, where="cluster", now=NOW)

    assert (found.cause, found.healthy) == (case.cause, False)
    assert case.step in found.step
    assert found.evidence


def test_what_the_operator_has_not_seen_is_told_after_a_while() -> None:
    young = {"kind": "TrainJob", "metadata": metadata(age_s=2), "spec": {}}
    old = {"kind": "TrainJob", "metadata": metadata(age_s=90), "spec": {}}

    assert explained(young, Surroundings(), where="cluster", now=NOW).healthy
    silent = explained(old, Surroundings(), where="cluster", now=NOW)
    assert (silent.cause, "flagscale-system" in silent.step) == ("OperatorSilent", True)


@pytest.mark.parametrize("phase", ["Running", "Succeeded", "Suspended"])
def test_an_earlier_failure_is_no_trouble_once_it_runs(phase: str) -> None:
    body = job(phase, cause="Killed", message="rank 0 was killed")
    found = explained(body, Surroundings(events=[event("exceeded quota")]), where="local", now=NOW)
    assert (found.cause, found.healthy) == ("None", True)


def test_on_this_machine_the_step_is_one_for_this_machine() -> None:
    text = 'persistentvolumeclaim "corpus" not found: /x is no folder'
    body = job("Starting", reason="VolumeClaimMissing", message=text)
    found = explained(body, Surroundings(), where="local", now=NOW)
    assert "--volume CLAIM=FOLDER" in found.step


def test_a_long_text_keeps_its_end_where_the_exception_stands() -> None:
    body = job("Failed", cause="UserError", message=f"{'x' * 5000} ValueError: last")
    found = explained(body, Surroundings(), where="local", now=NOW)
    assert found.evidence.endswith("ValueError: last")
    assert len(found.evidence) < 700

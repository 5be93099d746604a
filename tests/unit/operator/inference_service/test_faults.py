"""Faults of an InferenceService: each is told with its reason, a sentence and a next step."""

from dataclasses import replace
from typing import Any

import pytest

from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.failures import load_failure
from support.inference_services import ended, engine_pod, gateway_pod, ready, serving, step


def with_pod(seen: Observed, **facts: Any) -> Observed:
    return replace(seen, pods=(replace(seen.pods[0], **facts), *seen.pods[1:]))


def unsettled(seen: Observed, name: str = "svc-engine", **status: Any) -> Observed:
    key = ("Deployment", name)
    body = seen.stored[key]
    changed = {**body, "status": {**body["status"], "readyReplicas": 0, **status}}
    return replace(seen, stored={**seen.stored, key: changed})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("model.path: none, got /m; correct it", "got /m; correct spec.model or spec.engine"),
        ("engine.device: no GPU, got cuda; use cpu", "got cuda; use cpu"),
        ("model.path: none", "model.path: none; correct spec.model or spec.engine"),
    ],
)
def test_a_wrong_configuration_has_one_next_step(said: str, told: str) -> None:
    message = load_failure(ended(1, f"[serve] x\nserve: {said}"), "pod").message
    assert message.endswith(told)
    assert message.count("; ") == 1


CONFIG_ERROR = "[serve] x\nserve: model.path: does not exist, got /models/c/f; correct it"
OTHER_MODEL = "[serve] x\nserve: model.digest: /models/c/f holds another model than a, got b; serve"
EXIT_ERROR = "serve: simulator-0: engine: ended with exit code 3; its last lines:\nboom\n"
EXIT_ERROR += "processes.restarts: spent, got 1 in ten minutes; correct the model"


@pytest.mark.parametrize(
    ("facts", "reason", "told", "phase"),
    [
        (
            {"waiting_reason": "Unschedulable", "waiting_message": 'persistentvolumeclaim "c" not '
             "found"}, "VolumeClaimMissing", "create the claim", "Pending",
        ),
        (
            {"waiting_reason": "Unschedulable", "waiting_message": "0/1 nodes"},
            "Unschedulable", "free or add capacity", "Pending",
        ),
        (
            {"waiting_reason": "ErrImagePull", "waiting_message": "no such image"},
            "ImagePull", "imagePullSecrets", "Pending",
        ),
        ({"running": True}, "Loading", "the model is being loaded", "Loading"),
        (
            {"failure": ended(1, CONFIG_ERROR)},
            "ConfigError", "model.path: does not exist, got /models/c/f", "Failed",
        ),
        (
            {"failure": ended(1, OTHER_MODEL)},
            "ModelDigestMismatch", "got b; serve; or name the folder with spec.model.vol", "Failed",
        ),
        ({"failure": ended(1, EXIT_ERROR)}, "EngineExited", "boom", "Failed"),
        ({"failure": ended(137, "", "OOMKilled")}, "OutOfMemory", "limits.memory", "Failed"),
        ({"failure": ended(143)}, "Killed", "exited with 143", "Failed"),
        ({"failure": ended(3)}, "EngineExited", "without a word", "Failed"),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_get_ready_is_explained(
    facts: dict[str, Any], reason: str, told: str, phase: str
) -> None:
    service, seen = serving()
    seen = unsettled(with_pod(seen, **{"ready": False, "running": False, **facts}))

    service, decided = step(service, seen, 20)

    assert ready(decided)[:2] == ("False", reason)
    assert told in ready(decided)[2]
    assert service.status.phase == phase
    assert decided.apply == ()


def test_an_engine_that_keeps_ending_is_told_with_one_next_step() -> None:
    service, seen = serving()
    down = unsettled(with_pod(seen, ready=False, failure=ended(1, EXIT_ERROR)))

    _, decided = step(service, down, 20)

    assert ready(decided)[2].count("correct the model") == 1
    assert "spent, got 1 in ten minutes; correct the model or spec.engine; `" in ready(decided)[2]


@pytest.mark.parametrize(
    ("engine", "failure", "hint"),
    [
        ("auto", ended(1, EXIT_ERROR), True),
        ("auto", ended(1, CONFIG_ERROR), True),
        ("auto", ended(137, "", "OOMKilled"), False),
        ("vllm", ended(1, EXIT_ERROR), False),
    ],
)
def test_an_engine_that_was_chosen_and_ends_may_be_the_wrong_one(
    engine: str, failure: Any, *, hint: bool
) -> None:
    service, seen = serving(engine={"name": engine})
    down = unsettled(with_pod(seen, ready=False, failure=failure))

    _, decided = step(service, down, 20)

    told = "vllm is what spec.engine.name auto stands for here: if the model is not for it, name"
    assert (told in ready(decided)[2]) == hint


def test_a_failure_is_recorded_with_its_pod_and_exit_code() -> None:
    service, seen = serving()
    down = unsettled(with_pod(seen, ready=False, failure=ended(1, CONFIG_ERROR)))

    service, _ = step(service, down, 20)
    assert service.status.model is not None
    failure = service.status.model.last_failure
    service, _ = step(service, seen, 30)

    assert failure is not None
    assert (failure.pod, failure.exit_code) == ("svc-engine-0", 1)
    assert service.status.model is not None
    assert service.status.model.last_failure == failure
    assert service.status.phase == "Ready"


def test_one_replica_less_is_degraded() -> None:
    service, seen = serving(replicas=2)
    seen = unsettled(with_pod(seen, ready=False, failure=ended(139)), readyReplicas=1)

    service, decided = step(service, seen, 20)

    assert service.status.phase == "Degraded"
    assert decided.status.replicas is not None
    assert decided.status.replicas.summary == "1/2"
    assert decided.status.conditions[1].status == "True"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("serve: auth.keysFile: cannot be read, got /etc/f/keys.json (x)", "ApiKeysUnusable"),
        ("serve: engine.seed: not supported", "GatewayFailed"),
    ],
)
def test_a_gateway_that_ends_is_explained(message: str, reason: str) -> None:
    service, seen = serving(auth={"apiKeysSecretRef": {"name": "keys", "key": "k"}})
    gateway = gateway_pod(ready=False, failure=ended(1, message))
    seen = unsettled(replace(seen, pods=(seen.pods[0], gateway)), "svc-gateway")

    service, decided = step(service, seen, 20)

    assert ready(decided)[1] == reason
    assert service.status.phase == "Failed"
    assert decided.status.conditions[1].reason == "NoGatewayReady"


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ({"type": "ReplicaFailure", "status": "True", "message": "quota"}, "PodsRefused"),
        (
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
            "ProgressDeadlineExceeded",
        ),
    ],
)
def test_pods_that_never_come_are_explained(condition: dict[str, str], reason: str) -> None:
    service, seen = serving()
    seen = unsettled(replace(seen, pods=()), conditions=[condition])

    _, decided = step(service, seen, 20)

    assert ready(decided)[:2] == ("False", reason)


def test_a_pod_that_is_about_to_go_is_no_news() -> None:
    service, seen = serving()
    gone = engine_pod("old", 7, ready=False, deleting=True, failure=ended(137))

    _, decided = step(service, replace(seen, pods=(*seen.pods, gone)), 20)

    assert decided.status == service.status

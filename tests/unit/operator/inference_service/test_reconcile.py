"""Decisions about an InferenceService: each test is one situation and the right answer to it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.reconcile import plan
from flagscale_operator.kinds.inference_service.view import ServiceView
from support.inference_services import (
    CONTEXT,
    FROM_JOB,
    ended,
    engine_pod,
    make_service,
    ready,
    serving,
    step,
    stored,
    train_job,
)
from support.train_jobs import at


def names(decided: Any) -> list[str]:
    return [f"{kind.kind}/{body['metadata']['name']}" for kind, body in decided.apply]


def test_a_new_service_gets_its_children_engines_before_what_leads_to_them() -> None:
    service, decided = step(make_service(replicas=2), Observed({}))

    assert names(decided) == [
        "Service/svc-engines",
        "Service/svc-pending",
        "Deployment/svc-engine",
        "Deployment/svc-gateway",
        "Service/svc",
        "PodDisruptionBudget/svc-engine",
    ]
    assert (service.status.phase, service.status.url) == ("Pending", "http://svc.ns.svc:80/v1")
    assert ready(decided)[:2] == ("False", "Starting")


def test_a_settled_service_is_ready_and_writes_nothing() -> None:
    service, seen = serving(replicas=2)
    again = plan(service, seen, CONTEXT, now=at(99))

    assert (again.apply, again.delete, again.status) == ((), (), service.status)
    assert service.status.phase == "Ready"
    assert service.status.replicas is not None
    assert service.status.replicas.summary == "2/2"
    assert service.status.model is not None
    assert service.status.model.state == "Loaded"
    assert ready(again) == ("True", "Serving", "svc is served at http://svc.ns.svc:80/v1")


def test_replicas_are_told_by_revision_the_wanted_one_first() -> None:
    service, seen = serving(replicas=2)
    assert service.status.revision is not None
    wanted = engine_pod(service.status.revision, ready=False)
    old, older = engine_pod("b", 1), engine_pod("a", 2)
    leaving = engine_pod("a", 3, deleting=True)

    decided = plan(service, replace(seen, pods=(older, old, wanted, leaving)), CONTEXT, now=at(20))

    assert decided.status.replicas is not None
    told = [(r.revision, r.ready, r.current) for r in decided.status.replicas.revisions]
    assert told == [(service.status.revision, 0, 1), ("a", 1, 1), ("b", 1, 1)]


def test_the_engine_in_status_is_the_one_that_serves() -> None:
    service, seen = serving(engine={"name": "transformers"})
    edited = make_service(service.status, engine={"name": "auto", "kvCacheTokens": 64})

    rolling, _ = step(edited, seen, 20)
    taken_back, kept = step(make_service(rolling.status, engine={"name": "auto"}), seen, 30)

    assert (edited.engine, rolling.engine, rolling.status.engine) == (
        "vllm",
        "vllm",
        "transformers",
    )
    assert (taken_back.engine, kept.apply) == ("transformers", ())


def test_the_engine_in_status_follows_once_nothing_else_serves() -> None:
    service, seen = serving(engine={"name": "transformers"})
    edited = make_service(service.status, engine={"name": "vllm"})

    gone, _ = step(edited, replace(seen, pods=seen.pods[1:]), 20)

    assert gone.status.engine == "vllm"


def test_a_service_that_waits_for_its_model_tells_its_engine() -> None:
    service, decided = step(make_service(**FROM_JOB, engine={"name": "auto"}), Observed({}))

    assert (service.status.engine, ready(decided)[1]) == ("vllm", "TrainJobNotFound")


def test_a_changed_spec_is_not_ready_before_it_is_rolled_out() -> None:
    service, seen = serving()
    changed = make_service(service.status, generation=2, engine={"contextLength": 64})

    _, decided = step(changed, seen, 20)

    assert names(decided) == ["Deployment/svc-engine"]
    assert ready(decided)[:2] == ("False", "RollingUpdate")
    available = decided.status.conditions[1]
    assert (available.type, available.status) == ("Available", "True")
    assert decided.status.observed_generation == 2


def test_a_rollout_that_goes_well_is_loading_and_not_degraded() -> None:
    service, seen = serving(replicas=2)
    changed = make_service(service.status, generation=2, replicas=2, engine={"seed": 1})
    changed, first = step(changed, seen, 20)
    newer = engine_pod(changed.status.revision, 9)
    seen = replace(
        seen, stored={**seen.stored, **stored(first, done=False)}, pods=(*seen.pods, newer)
    )

    changed, decided = step(changed, seen, 30)

    assert changed.status.phase == "Loading"
    assert ready(decided)[1:] == (
        "RollingUpdate",
        "1 of 2 engine pods are ready; an older revision serves until they are",
    )


def test_what_was_changed_by_hand_is_put_right() -> None:
    service, seen = serving()
    key = ("Deployment", "svc-engine")
    body = seen.stored[key]
    scaled = {**body, "spec": {**body["spec"], "replicas": 5}}

    _, decided = step(service, replace(seen, stored={**seen.stored, key: scaled}))

    assert names(decided) == ["Deployment/svc-engine"]


def test_defaults_that_the_api_server_adds_are_no_change() -> None:
    service, seen = serving()
    key = ("Service", "svc")
    body = seen.stored[key]
    ports = [{**port, "protocol": "TCP"} for port in body["spec"]["ports"]]
    defaulted = {**body, "spec": {**body["spec"], "ports": ports, "clusterIP": "10.0.0.1"}}

    _, decided = step(service, replace(seen, stored={**seen.stored, key: defaulted}))

    assert decided.apply == ()


def test_a_budget_goes_with_the_second_replica() -> None:
    service, seen = serving(replicas=2)
    smaller = make_service(service.status, generation=2)

    _, decided = step(smaller, seen)

    assert decided.delete == (("PodDisruptionBudget", "svc-engine"),)


@pytest.mark.parametrize(
    ("job", "reason", "told"),
    [
        (None, "TrainJobNotFound", "does not exist"),
        (train_job("Running", None), "TrainJobNotReady", "TrainJob job is Running"),
        (train_job("Failed", None), "TrainJobNotReady", "TrainJob job is Failed; correct it"),
        (train_job("Succeeded", None), "NoArtifact", "spec.model.volume"),
    ],
)
def test_a_service_waits_for_its_train_job(job: Any, reason: str, told: str) -> None:
    service, decided = step(make_service(**FROM_JOB), Observed({}, train_job=job))

    assert decided.apply == ()
    assert ready(decided)[:2] == ("False", reason)
    assert told in ready(decided)[2]
    assert service.status.phase == "Pending"


@pytest.mark.parametrize("uri", ["/data/model", "pvc://claim", "pvc://claim/../other/model"])
def test_an_artifact_that_lies_on_no_claim_is_told(uri: str) -> None:
    job = train_job()
    assert job.artifact is not None
    elsewhere = replace(job, artifact=job.artifact.model_copy(update={"uri": uri}))

    _, decided = step(make_service(**FROM_JOB), Observed({}, train_job=elsewhere))

    assert ready(decided)[1] == "ArtifactNotOnClaim"


@pytest.mark.parametrize("job", [None, train_job("Running", None), train_job("Failed", None)])
def test_a_train_job_that_is_gone_or_runs_anew_changes_nothing(job: Any) -> None:
    service, seen = serving(**FROM_JOB)

    _, decided = step(service, replace(seen, train_job=job), 50)

    assert (decided.apply, decided.status) == ((), service.status)


def test_a_new_artifact_rolls_the_engines_and_is_recorded() -> None:
    service, seen = serving(**FROM_JOB)

    _, decided = step(service, replace(seen, train_job=train_job(digest="sha256:2")), 50)

    assert names(decided) == ["Deployment/svc-engine"]
    assert decided.status.model is not None
    assert decided.status.model.digest == "sha256:2"


def test_another_train_job_is_waited_for_while_the_old_model_serves() -> None:
    service, seen = serving(**FROM_JOB)
    model = {"volume": None, "trainJobRef": {"name": "other"}}
    changed = make_service(service.status, generation=2, model=model)

    _, decided = step(changed, replace(seen, train_job=None), 50)

    assert (decided.apply, decided.delete) == ((), ())
    assert ready(decided)[1] == "TrainJobNotFound"
    assert decided.status.conditions[1].status == "True"


PODS = st.builds(
    engine_pod,
    st.sampled_from(["", "other"]),
    st.integers(0, 3),
    ready=st.booleans(),
    running=st.booleans(),
    deleting=st.booleans(),
    component=st.sampled_from(["engine", "gateway"]),
    waiting_reason=st.sampled_from([None, "Unschedulable", "ErrImagePull"]),
    failure=st.sampled_from([None, ended(1, "serve: x"), ended(137)]),
)
JOBS = st.sampled_from([None, train_job(), train_job("Running", None), train_job(digest="2")])


@settings(max_examples=200)
@given(
    replicas=st.integers(1, 3),
    from_job=st.booleans(),
    pods=st.lists(PODS, max_size=4),
    job=JOBS,
    done=st.booleans(),
)
def test_once_applied_nothing_more_is_written(
    *, replicas: int, from_job: bool, pods: list[Any], job: Any, done: bool
) -> None:
    spec = FROM_JOB if from_job else {}
    service: ServiceView = make_service(replicas=replicas, **spec)
    seen = Observed({}, tuple(pods), job)
    service, first = step(service, seen)
    seen = replace(seen, stored=stored(first, done=done))
    service, second = step(service, seen, 1)
    third = plan(service, seen, CONTEXT, now=at(2))

    assert (second.apply, second.delete) == ((), ())
    assert (third.apply, third.delete, third.status) == ((), (), service.status)

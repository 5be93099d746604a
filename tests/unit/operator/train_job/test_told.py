"""A pod's termination message is whatever its program wrote: it decides little, breaks nothing."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flagscale_operator.kinds.train_job.result import claim_uri
from support.train_jobs import child, ended, make_job, observed, running_job, step

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
INFOS = JSON | st.fixed_dictionaries({"cause": JSON, "rank": JSON, "timestamp": JSON})
INNER = st.fixed_dictionaries({"message": JSON, "errorCode": JSON, "extraInfo": INFOS})
RECORDS = st.fixed_dictionaries({"message": JSON | INNER})
ARTIFACTS = st.fixed_dictionaries({"uri": JSON, "format": JSON, "digest": JSON, "sizeBytes": JSON})


def failed(message: str) -> Any:
    job, _ = step(running_job(), observed(child(failed=True), ended(0, message=message)), 20)
    assert job.status.failure is not None
    return job.status.failure


@given(RECORDS.map(json.dumps))
@example("[" * 4096)
@example('{"message": ' * 340)
@example('{"message": {"message": "x", "extraInfo": "none"}}')
@example('{"message": {"message": "x", "extraInfo": {"cause": ["Hang"]}}}')
@example('{"message": {"message": "\\ud800"}}')
@example(f'{{"message": {{"message": "x", "errorCode": {10**30}}}}}')
def test_no_failure_record_stops_the_operator(text: str) -> None:
    failure = failed(text)

    assert orjson.dumps(failure.model_dump())


@given(ARTIFACTS.map(lambda artifact: json.dumps({"result": {"artifact": artifact}})))
@example("[" * 4096)
@example('{"result": ' * 340)
def test_no_result_stops_the_operator(text: str) -> None:
    seen = observed(child(succeeded=True), ended(0, 0, message=text), ended(1, 0))
    job, _ = step(running_job(), seen, 20)

    assert job.status.phase == "Succeeded"
    assert orjson.dumps(job.status.model_dump())


@pytest.mark.parametrize("cause", ["Preempted", "NodeLost", "Deadline", "Nonsense"])
def test_a_program_can_not_claim_what_only_the_cluster_knows(cause: str) -> None:
    record = {"message": {"message": "boom", "extraInfo": {"cause": cause}}}

    assert failed(json.dumps(record)).cause == "UserError"


def test_the_trainers_own_causes_are_believed() -> None:
    record = {"message": {"message": "no text", "extraInfo": {"cause": "InvalidData"}}}

    assert failed(json.dumps(record)).cause == "InvalidData"


def test_the_claim_that_is_mounted_deepest_holds_the_model() -> None:
    volumes = {
        "all": {"claimName": "outer", "mountPath": "/data"},
        "out": {"claimName": "inner", "mountPath": "/data/out"},
    }
    spec = make_job(volumes=volumes).spec

    assert claim_uri("/data/out/model", spec) == "pvc://inner/model"
    assert claim_uri("file:///data/model", spec) == "pvc://outer/model"
    assert claim_uri("/elsewhere/model", spec) == "/elsewhere/model"

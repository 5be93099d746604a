from typing import Any

import pytest

from flagscale_runner.local.gangs import INDEX_LABEL, Gang, plan_gang, pod_of

JOB: dict[str, Any] = {
    "metadata": {"name": "j-a1", "namespace": "n", "uid": "u"},
    "spec": {
        "runPolicy": {"suspend": False},
        "pytorchReplicaSpecs": {
            "Worker": {
                "replicas": 2,
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"env": [
                        {"name": "PET_MASTER_ADDR", "value": "j-a1-worker-0"},
                        {"name": "PET_MAX_RESTARTS", "value": "0"},
                        {"name": "OMP_NUM_THREADS", "value": "7"},
                    ]}]},
                },
            }
        },
    },
}  # fmt: skip


def pod(index: int, phase: str, **metadata: str) -> dict[str, Any]:
    labels = {INDEX_LABEL: str(index)}
    return {"metadata": {"name": f"p{index}", "labels": labels, **metadata},
            "status": {"phase": phase}}  # fmt: skip


def test_missing_pods_are_made() -> None:
    assert plan_gang(JOB, []).make == (0, 1)
    assert plan_gang(JOB, [pod(0, "Running")]).make == (1,)


def test_none_is_made_while_an_old_one_leaves() -> None:
    assert plan_gang(JOB, [pod(0, "Running", deletionTimestamp="t")]).make == ()


def test_the_first_failure_fails_the_job_and_ends_the_others() -> None:
    decided = plan_gang(JOB, [pod(0, "Failed"), pod(1, "Running")])
    assert decided.conditions[0]["type"] == "Failed"
    assert plan_gang({**JOB, "status": {"conditions": list(decided.conditions)}},
                     [pod(0, "Failed"), pod(1, "Running")]).delete == ("p1",)  # fmt: skip


@pytest.mark.parametrize("other", ["Running", "Pending"])
def test_the_job_has_not_succeeded_before_all_have(other: str) -> None:
    assert plan_gang(JOB, [pod(0, "Succeeded"), pod(1, other)]).conditions == ()


def test_the_job_has_succeeded_once_all_have() -> None:
    decided = plan_gang(JOB, [pod(0, "Succeeded"), pod(1, "Succeeded")])
    assert decided.conditions[0]["type"] == "Succeeded"
    assert decided.delete == ()


def test_a_suspended_job_keeps_no_pod() -> None:
    job = {**JOB, "spec": {**JOB["spec"], "runPolicy": {"suspend": True}}}
    decided = plan_gang(job, [pod(0, "Running"), pod(1, "Failed")])
    assert decided.delete == ("p0", "p1")
    assert decided.make == ()


def test_a_pod_is_told_its_rank_and_its_master_and_keeps_what_the_user_set() -> None:
    made = pod_of(JOB, 1, Gang(replicas=2, processes=1, port=1234, threads=1))
    env = {e["name"]: e["value"] for e in made["spec"]["containers"][0]["env"]}
    assert env["PET_NODE_RANK"] == "1"
    assert env["PET_MASTER_ADDR"] == "127.0.0.1"
    assert env["OMP_NUM_THREADS"] == "7"
    assert Gang.port_of([made]) == 1234

from datetime import UTC, datetime, timedelta
from typing import Any

from flagscale_operator.kinds.clock import format_time
from flagscale_runner.local.deployments import HASH_LABEL, plan_deployment, pod_of, template_hash
from flagscale_runner.local.pod_status import running, terminated

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Body = dict[str, Any]


def deployment(replicas: int, image: str = "a") -> Body:
    template = {"metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "serve", "image": image}]}}  # fmt: skip
    return {"metadata": {"name": "x", "namespace": "n", "uid": "u", "generation": 3},
            "spec": {"replicas": replicas, "template": template}}  # fmt: skip


def pod(of: Body, name: str, *, ready: bool = True) -> Body:
    made = pod_of(of, name)
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    made["status"] = {**running(made), "conditions": [condition]}
    return made


def crashed(of: Body, *, ended_s: float) -> Body:
    made = pod_of(of, "one")
    at = format_time(NOW - timedelta(seconds=ended_s))
    made["status"] = terminated(made, {"exitCode": 1, "finishedAt": at, "message": "oh"})
    return made


def test_missing_pods_are_made_and_surplus_ones_go() -> None:
    two = deployment(2)
    assert plan_deployment(two, [], NOW).make == 2
    pods = [pod(two, "a"), pod(two, "b")]
    assert plan_deployment(deployment(1), pods, NOW).delete == ("x-b",)


def test_old_pods_serve_until_all_new_ones_are_ready() -> None:
    old, new = deployment(1, "a"), deployment(1, "b")
    waiting = plan_deployment(new, [pod(old, "o"), pod(new, "n", ready=False)], NOW)
    assert (waiting.make, waiting.delete) == (0, ())
    over = plan_deployment(new, [pod(old, "o"), pod(new, "n")], NOW)
    assert over.delete == ("x-o",)


def test_the_status_counts_as_a_deployment_does() -> None:
    old, new = deployment(2, "a"), deployment(2, "b")
    told = plan_deployment(new, [pod(old, "o"), pod(new, "n", ready=False)], NOW).status
    assert told == {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1,
                    "readyReplicas": 1}  # fmt: skip


def test_an_ended_pod_is_restarted_after_its_backoff_which_doubles() -> None:
    one = deployment(1)
    assert plan_deployment(one, [crashed(one, ended_s=5)], NOW).restart == ()
    ended = crashed(one, ended_s=11)
    assert plan_deployment(one, [ended], NOW).restart == ("x-one",)

    again = pod_of(one, "", ended=ended)
    at = format_time(NOW - timedelta(seconds=11))
    again["status"] = terminated(again, {"exitCode": 1, "finishedAt": at, "message": "oh"})
    assert plan_deployment(one, [again], NOW).restart == ()


def test_a_restarted_pod_tells_how_the_one_before_ended() -> None:
    one = deployment(1)
    again = pod_of(one, "", ended=crashed(one, ended_s=11))
    (container,) = running(again)["containerStatuses"]
    assert container["lastState"]["terminated"]["message"] == "oh"
    assert again["metadata"]["labels"][HASH_LABEL] == template_hash(one)

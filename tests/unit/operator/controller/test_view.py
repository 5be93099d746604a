from typing import Any

from flagscale_api import keys
from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    POD,
    TRAIN_JOB,
)

JOB, SERVICE = Key("TrainJob", "ns", "a"), Key("InferenceService", "ns", "a")


def body(name: str, *, label: str | None = None, job: str | None = None) -> dict[str, Any]:
    labels = {label: "a"} if label else {}
    metadata = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "labels": labels}
    model = {"trainJobRef": {"name": job}} if job else {}
    return {"metadata": metadata, "spec": {"model": model}}


def test_a_pod_wakes_the_kind_that_its_label_names_even_where_names_are_the_same() -> None:
    view = ClusterView()

    assert view.woken_by(POD, body("p", label=keys.TRAIN_JOB_LABEL)) == [JOB]
    assert view.woken_by(POD, body("p", label=keys.INFERENCE_SERVICE_LABEL)) == [SERVICE]
    assert view.woken_by(POD, body("p")) == []


def test_a_pod_is_kept_by_its_owners_kind_alone() -> None:
    view = ClusterView()
    view.keep(POD, body("p", label=keys.INFERENCE_SERVICE_LABEL))
    view.keep(POD, body("q"))

    assert (len(view.serving_pods), len(view.pods)) == (1, 0)


def test_a_train_job_wakes_the_services_that_refer_to_it() -> None:
    view = ClusterView()
    view.keep(INFERENCE_SERVICE, body("waiting", job="a"))
    view.keep(INFERENCE_SERVICE, body("other", job="b"))

    woken = view.woken_by(TRAIN_JOB, body("a"))

    assert woken == [JOB, Key("InferenceService", "ns", "waiting")]


def test_a_service_that_refers_to_another_job_is_woken_by_that_one() -> None:
    view = ClusterView()
    view.keep(INFERENCE_SERVICE, body("waiting", job="a"))
    view.keep(INFERENCE_SERVICE, body("waiting", job="b"))

    assert view.woken_by(TRAIN_JOB, body("a")) == [JOB]


def test_only_training_pods_that_had_not_ended_are_remembered() -> None:
    view = ClusterView()
    running, ended = (body(n, label=keys.TRAIN_JOB_LABEL) for n in ("running", "ended"))
    ended["status"] = {"phase": "Failed"}
    serving = body("serving", label=keys.INFERENCE_SERVICE_LABEL)
    for pod in (running, ended, serving):
        view.keep(POD, pod)
        view.drop(POD, pod)

    assert view.gone_pods.identities() == [("ns", "running")]
    assert (len(view.pods), len(view.serving_pods)) == (0, 0)


def test_every_object_that_is_reconciled_is_resynced() -> None:
    view = ClusterView()
    view.keep(TRAIN_JOB, body("a"))
    view.keep(INFERENCE_SERVICE, body("a"))
    view.keep(DEPLOYMENT, body("a-engine", label=keys.INFERENCE_SERVICE_LABEL))

    assert view.keys() == [JOB, SERVICE]


def test_a_tool_wakes_itself_and_the_source_that_made_it() -> None:
    view = ClusterView()
    tool, source = Key("AgentTool", "ns", "t"), Key("AgentToolSource", "ns", "a")

    assert view.woken_by(AGENT_TOOL, body("t")) == [tool]
    assert view.woken_by(AGENT_TOOL, body("t", label=keys.TOOL_SOURCE_LABEL)) == [tool, source]
    assert view.woken_by(AGENT_TOOL_SOURCE, body("a")) == [source]


def test_tools_of_one_name_on_one_server_are_found_together() -> None:
    view = ClusterView()
    for name, spec in {
        "get": {"http": {"url": "https://A.example/x"}},
        "b": {"name": "get", "mcp": {"url": "https://a.example/mcp"}},
        "c": {"name": "get", "server": "other", "mcp": {"url": "https://a.example/mcp"}},
        "d": {"name": "get"},
    }.items():
        view.keep(AGENT_TOOL, {**body(name), "spec": spec})

    removed = view.agent_tools.get(("ns", "get"))
    assert removed
    assert view.woken_by(AGENT_TOOL, removed) == [
        Key("AgentTool", "ns", "get"),
        Key("AgentTool", "ns", "b"),
    ]
    found = view.agent_tools.owned_by(("ns", "a.example/get"))
    assert [one["metadata"]["name"] for one in found] == ["b", "get"]


def test_what_has_no_phase_is_counted_by_why_it_is_not_ready() -> None:
    view = ClusterView()
    (entry,) = (one for one in view.own() if one.kind is AGENT_TOOL)
    conditions = [{"type": "Ready", "reason": "SchemaDrifted"}]
    view.keep(AGENT_TOOL, {**body("a"), "status": {"conditions": conditions}})
    view.keep(AGENT_TOOL, body("b"))

    assert sorted(view.phases(entry)) == ["Pending", "SchemaDrifted"]

"""What a service on Ray depends on breaks: it recovers without help, and makes nothing twice."""

import json
from collections.abc import Iterator

import pytest

from support.cluster import native
from support.demo.install import RELEASE_NAMESPACE
from support.kube_wait import wait_for
from support.kube_watch import names_seen
from support.services import ask, ready, submit, wait
from support.steady_load import steady_load
from support.workspace import Status, Workspace

NAME = "lasting"
OURS = f"flagscale.dev/inferenceservice={NAME}"
WORKERS = f"{OURS},app.kubernetes.io/component=engine"
GATEWAYS = f"{OURS},app.kubernetes.io/component=gateway"
HEADS = f"{OURS},app.kubernetes.io/component=head"
CHILDREN = "rayservices,rayclusters,deployments,services,controllerrevisions"


def names(workspace: Workspace, kinds: str, selector: str = OURS) -> list[str]:
    return sorted(workspace.kubectl("get", kinds, "-l", selector, "-o", "name").split())


def kinds(found: list[str]) -> list[str]:
    return [name.partition("/")[0] for name in found]


def kill(workspace: Workspace, selector: str) -> None:
    workspace.kubectl("delete", "pods", "-l", selector, "--force", "--grace-period=0")


def kill_operator(workspace: Workspace) -> None:
    where = ("-n", RELEASE_NAMESPACE, "-l", "app.kubernetes.io/name=flagscale")
    workspace.target.kubectl("delete", "pod", *where, "--force", "--grace-period=0")


def check_answer(workspace: Workspace) -> None:
    assert ask(workspace, wait(workspace, NAME, ready))["usage"]["completion_tokens"] > 0


@pytest.fixture(scope="module")
def served(workspace: Workspace) -> Status:
    submit(workspace, NAME, model={"volume": {"claimName": "data"}}, runtime="rayservice",
           engine={"name": "simulator"})  # fmt: skip
    return wait(workspace, NAME, ready)


@pytest.fixture
def nothing_new(workspace: Workspace, served: Status) -> Iterator[None]:
    """It answers again after the test, with the very children that it had before."""
    before = names(workspace, CHILDREN)
    with names_seen(workspace, "rayclusters", OURS) as clusters:
        yield
        check_answer(workspace)
    assert names(workspace, CHILDREN) == before
    assert len(clusters) == 1


def test_it_serves_on_while_kuberay_restarts(
    workspace: Workspace, served: Status, nothing_new: None
) -> None:
    with steady_load(workspace, served["url"]) as load:
        native.stop_component("ray-operator")
        native.start_component("ray-operator")

    assert load.failed == []
    assert load.answered > 0


def test_a_worker_that_is_lost_while_kuberay_is_away_comes_back(
    workspace: Workspace, nothing_new: None
) -> None:
    native.stop_component("ray-operator")
    try:
        kill(workspace, WORKERS)
        wait(workspace, NAME, lambda status: not ready(status))
    finally:
        native.start_component("ray-operator")


def test_an_operator_that_is_killed_during_an_upgrade_makes_nothing_twice(
    workspace: Workspace, served: Status
) -> None:
    children, before = names(workspace, CHILDREN), names(workspace, "rayclusters")
    with (
        names_seen(workspace, "rayclusters", OURS) as clusters,
        steady_load(workspace, served["url"]) as load,
    ):
        change = json.dumps({"spec": {"engine": {"seed": 1}}})
        workspace.kubectl("patch", "isvc", NAME, "--type=merge", "-p", change)
        kill_operator(workspace)
        wait_for(lambda: names(workspace, "rayclusters"), lambda n: len(n) == 2, timeout_s=120)
        kill_operator(workspace)
        wait(workspace, NAME, lambda s: ready(s) and s["revision"] != served["revision"])
        after = wait_for(
            lambda: names(workspace, "rayclusters"), lambda n: len(n) == 1, timeout_s=90
        )

    check_answer(workspace)
    assert load.failed == []
    assert clusters == {*before, *after}
    assert len(clusters) == 2
    assert kinds(names(workspace, CHILDREN)) == kinds(children)


def test_a_killed_ray_head_starts_its_cluster_anew(workspace: Workspace, nothing_new: None) -> None:
    kill(workspace, HEADS)
    wait(workspace, NAME, lambda status: not ready(status))


def test_a_lost_node_costs_pods_and_no_cluster(workspace: Workspace, nothing_new: None) -> None:
    def gateways() -> list[str]:
        return names(workspace, "pods", GATEWAYS)

    native.stop_component("kubelet")
    try:
        wait(workspace, NAME, lambda status: not ready(status))
        # Its pods are given up: a Deployment replaces them at once, KubeRay when they are gone.
        wait_for(gateways, lambda found: len(found) == 2, timeout_s=120)
    finally:
        native.start_component("kubelet")
    # A pod of no controller does not come back.
    workspace.kubectl("delete", "pod", "files", "--ignore-not-found", "--timeout=60s")
    workspace.open_files()

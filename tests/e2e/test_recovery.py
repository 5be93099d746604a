"""Two pods train; pods, processes and nodes go away; the gang restarts once and loses little."""

import pytest

from support.cluster import native
from support.demo.install import RELEASE_NAMESPACE
from support.demo.target import Target
from support.workspace import Status, Workspace, tiny_trainer

FIND_WORKER = """
import os, pathlib, signal
def is_worker(process):
    command = (process / 'cmdline').read_bytes()
    return b'flagscale_workloads.train' in command and b'torch.distributed.run' not in command
numbered = (p for p in pathlib.Path('/proc').iterdir() if p.name.isdigit())
worker = next(p for p in numbered if is_worker(p))
"""
KILL = FIND_WORKER + "os.kill(int(worker.name), signal.SIGKILL)"
FREEZE = FIND_WORKER + "os.kill(int(worker.name), signal.SIGSTOP)"
# The kernel ends the process with the highest score when the container's memory is used up.
EXHAUST = (
    FIND_WORKER
    + """
(worker / 'oom_score_adj').write_text('1000')
taken = []
while worker.exists():
    taken.append(bytearray(20_000_000))
"""
)
POLICY = {"backoffSeconds": 1, "hangTimeoutSeconds": 120}
INTERVAL = 20


def check_one_restart(status: Status, cause: str) -> None:
    """Attempts = 2, resumed from a checkpoint, at most one interval computed again."""
    assert [a.get("cause") for a in status["attempts"]] == [cause, None]
    assert status["restarts"] == 1
    last = status["attempts"][-1]
    assert last["resumedStep"] > 0
    assert last["lostSteps"] <= INTERVAL


@pytest.fixture(scope="module")
def undisturbed(workspace: Workspace) -> Status:
    workspace.submit("calm", replicas=2, failurePolicy=POLICY, **tiny_trainer("/data/calm"))
    return workspace.wait_phase("calm", "Succeeded", "Failed")


def test_two_pods_train_a_model(undisturbed: Status) -> None:
    assert undisturbed["phase"] == "Succeeded"
    assert undisturbed["progress"]["percent"] == 100
    assert undisturbed["artifact"]["uri"] == "pvc://data/calm/model"
    assert len(undisturbed["attempts"]) == 1


def test_a_killed_process_costs_one_restart_and_changes_nothing_in_the_model(
    workspace: Workspace, undisturbed: Status
) -> None:
    workspace.submit("killed", replicas=2, failurePolicy=POLICY, **tiny_trainer("/data/killed"))
    workspace.wait_step("killed", 45)

    workspace.kubectl("exec", "killed-a1-worker-1", "--", "python3", "-c", KILL)

    status = workspace.wait_phase("killed", "Succeeded", "Failed")
    check_one_restart(status, "Killed")
    assert status["failure"]["signal"] == 9
    assert status["failure"]["rank"] == 1
    assert status["artifact"]["digest"] == undisturbed["artifact"]["digest"]


def test_a_worker_over_its_memory_costs_one_restart(workspace: Workspace) -> None:
    limits = {"limits": {"memory": "1500Mi"}}
    tiny = tiny_trainer("/data/oom")
    workspace.submit("oom", replicas=2, failurePolicy=POLICY, resources=limits, **tiny)
    workspace.wait_step("oom", 45)

    exhaust = ("exec", "oom-a1-worker-1", "--", "python3", "-c", EXHAUST)
    workspace.kubectl(*exhaust, check=False)  # the shell may die with the container

    status = workspace.wait_phase("oom", "Succeeded", "Failed")
    check_one_restart(status, "OutOfMemory")
    assert "spec.resources.limits.memory" in status["failure"]["message"]


def test_a_frozen_worker_costs_one_restart(workspace: Workspace) -> None:
    policy = {"backoffSeconds": 1, "hangTimeoutSeconds": 20}
    workspace.submit("frozen", replicas=2, failurePolicy=policy, **tiny_trainer("/data/frozen"))
    workspace.wait_step("frozen", 45)

    workspace.kubectl("exec", "frozen-a1-worker-1", "--", "python3", "-c", FREEZE)

    status = workspace.wait_phase("frozen", "Succeeded", "Failed")
    check_one_restart(status, "Hang")
    assert "hangTimeoutSeconds" in status["failure"]["message"]


def test_a_deleted_pod_costs_one_restart(workspace: Workspace) -> None:
    workspace.submit("deleted", replicas=2, failurePolicy=POLICY, **tiny_trainer("/data/deleted"))
    workspace.wait_step("deleted", 45)

    workspace.kubectl("delete", "pod", "deleted-a1-worker-0", "--force", "--grace-period=0")

    check_one_restart(workspace.wait_phase("deleted", "Succeeded", "Failed"), "Killed")


def test_a_lost_node_costs_one_restart_and_is_named(workspace: Workspace) -> None:
    workspace.submit("node", replicas=2, failurePolicy=POLICY, **tiny_trainer("/data/node"))
    workspace.wait_step("node", 45)

    native.stop_component("kubelet")
    try:
        lost = workspace.wait("node", lambda s: bool(s.get("failure")), timeout_s=180)
    finally:
        native.start_component("kubelet")

    assert lost["failure"]["cause"] == "NodeLost"
    assert lost["failure"]["node"]
    status = workspace.wait_phase("node", "Succeeded", "Failed", timeout_s=400)
    check_one_restart(status, "NodeLost")


def test_an_operator_killed_at_every_turn_repeats_nothing_and_misses_nothing(
    workspace: Workspace, target: Target
) -> None:
    def kill_operator() -> None:
        target.kubectl("delete", "pod", "-n", RELEASE_NAMESPACE, "--force", "--grace-period=0",
                       "-l", "app.kubernetes.io/name=flagscale")  # fmt: skip

    tiny = tiny_trainer("/data/orphan", steps=240)
    workspace.submit("orphan", replicas=2, failurePolicy=POLICY, **tiny)
    workspace.wait("orphan", lambda s: bool(s.get("attempts")))
    kill_operator()
    workspace.wait_step("orphan", 45)
    kill_operator()
    workspace.kubectl("exec", "orphan-a1-worker-1", "--", "python3", "-c", KILL)
    workspace.wait("orphan", lambda s: bool(s.get("restarts")))
    kill_operator()
    workspace.wait_step("orphan", 60, attempt=2)
    kill_operator()

    status = workspace.wait_phase("orphan", "Succeeded", "Failed")
    check_one_restart(status, "Killed")
    children = workspace.kubectl(
        "get", "pytorchjobs", "-l", "flagscale.dev/trainjob=orphan", "-o", "name"
    )
    # The failed attempt stays for its logs.
    kinds = [f"pytorchjob.kubeflow.org/orphan-a{number}" for number in (1, 2)]
    assert children.split() == kinds


def test_the_events_tell_the_story_in_order(workspace: Workspace) -> None:
    columns = "custom-columns=REASON:.reason,NAME:.involvedObject.name,KIND:.involvedObject.kind"
    told = workspace.kubectl(
        "get", "events", "--sort-by=.metadata.creationTimestamp", "-o", columns
    )
    story = [
        line.split()[0] for line in told.splitlines() if line.split()[1:] == ["killed", "TrainJob"]
    ]

    wanted = iter(story)
    assert all(word in wanted for word in ("Running", "Restarting", "Running", "Succeeded")), story

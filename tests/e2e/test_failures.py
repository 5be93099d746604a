"""What a restart does not heal: each is named, with its next step, and ends."""

from support.workspace import Workspace


def test_a_script_over_its_memory_every_time_fails_when_its_budget_is_spent(
    workspace: Workspace,
) -> None:
    code = "x = []\nwhile True: x.append(bytearray(50_000_000))"
    limits = {"limits": {"memory": "600Mi"}}
    spec = workspace.script(code, resources=limits, failurePolicy={"backoffSeconds": 1})
    workspace.submit("oom", **spec)

    status = workspace.wait_phase("oom", "Failed", timeout_s=180)

    assert [a["cause"] for a in status["attempts"]] == ["OutOfMemory", "OutOfMemory"]
    assert "spec.resources.limits.memory" in status["failure"]["message"]
    assert "restartBudgets.outOfMemory is spent (1 of 1)" in status["failure"]["message"]


def test_a_script_that_raises_fails_at_once_with_its_own_words(workspace: Workspace) -> None:
    workspace.submit("raises", **workspace.script("raise ValueError('the learning rate is odd')"))

    status = workspace.wait_phase("raises", "Failed", timeout_s=120)

    assert len(status["attempts"]) == 1
    assert status["failure"]["cause"] == "UserError"
    assert "ValueError: the learning rate is odd" in status["failure"]["message"]


def test_a_missing_claim_is_named_while_the_job_waits(workspace: Workspace) -> None:
    volumes = {"data": {"claimName": "nothing", "mountPath": "/data"}}
    workspace.submit("claimless", volumes=volumes, **workspace.script("pass"))

    def told(status: dict) -> bool:  # type: ignore[type-arg]
        return any(c["reason"] == "VolumeClaimMissing" for c in status.get("conditions", []))

    status = workspace.wait("claimless", told, timeout_s=60)

    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert 'persistentvolumeclaim "nothing" not found' in ready["message"]
    assert "spec.volumes" in ready["message"]
    assert len(status["attempts"]) == 1


def test_deleting_a_running_job_leaves_nothing_behind(workspace: Workspace) -> None:
    workspace.submit("gone", **workspace.script("import time; time.sleep(3600)"))
    workspace.wait_phase("gone", "Running", timeout_s=120)

    workspace.kubectl("delete", "trainjob", "gone", "--cascade=foreground", "--timeout=120s")

    left = workspace.kubectl(
        "get", "pytorchjobs,pods", "-l", "flagscale.dev/trainjob=gone", "-o", "name"
    )
    assert left.strip() == ""

"""The cluster's runner against a real API server; nothing runs there, so all is by the API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flagscale_operator.kube.kinds import PYTORCH_JOB, RAY_SERVICE, TRAIN_JOB
from flagscale_runner.base import RunnerError, Target
from flagscale_runner.cli.app import app
from flagscale_runner.cluster.kubeconfig import connection_of
from flagscale_runner.cluster.runner import ClusterRunner
from support.kubectl import Kubectl
from support.train_jobs import TRAINER

pytestmark = pytest.mark.usefixtures("crds")


@pytest.fixture
def runner(kubeconfig: Path) -> Iterator[ClusterRunner]:
    with ClusterRunner.of({"KUBECONFIG": str(kubeconfig)}) as found:
        yield found


def job(namespace: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "j", "namespace": namespace},
        "spec": {**TRAINER, **spec},
    }


def test_a_job_is_applied_suspended_resumed_and_ended(
    runner: ClusterRunner, namespace: str
) -> None:
    target = runner.submit(job(namespace))
    assert target == Target("TrainJob", namespace, "j")
    assert runner.submit(job(namespace)) == target
    assert [b["metadata"]["name"] for b in runner.resources("TrainJob", namespace)] == ["j"]

    suspended = []
    for suspend in (True, False):
        runner.suspend(target, suspend=suspend)
        suspended.append((runner.status(target) or {})["spec"]["suspend"])
    assert suspended == [True, False]

    runner.stop(target)
    assert runner.status(target) is None


def test_what_the_api_server_refuses_is_a_sentence(runner: ClusterRunner, namespace: str) -> None:
    runner.submit(job(namespace))
    with pytest.raises(RunnerError, match=r"spec\.replicas: .*immutable|can't be changed"):
        runner.submit(job(namespace, replicas=2))
    with pytest.raises(RunnerError, match="is not there"):
        runner.suspend(Target("TrainJob", namespace, "none"), suspend=True)


def test_events_of_what_the_operator_made_belong_to_it(
    runner: ClusterRunner, kubectl: Kubectl, namespace: str
) -> None:
    target = runner.submit(job(namespace))
    event = {
        "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreate",
        "metadata": {"name": "e"}, "message": "exceeded quota: small",
        "involvedObject": {"kind": "PyTorchJob", "name": "j-a1", "namespace": namespace},
    }  # fmt: skip
    assert kubectl.apply(event, namespace).returncode == 0
    assert [e["message"] for e in runner.surroundings(target).events] == ["exceeded quota: small"]


def test_what_is_served_is_told(runner: ClusterRunner) -> None:
    assert runner.server_version().startswith("v1.")
    assert [runner.serves(kind) for kind in (TRAIN_JOB, PYTORCH_JOB)] == [True, True]
    assert runner.serves(RAY_SERVICE) in (True, False)


def test_credentials_that_are_not_accepted_are_told(kubeconfig: Path, namespace: str) -> None:
    connection, _ = connection_of({"KUBECONFIG": str(kubeconfig)}, None)
    stranger = type(connection)(connection.server, ca=connection.ca, token="expired")
    with (
        ClusterRunner(stranger, namespace) as runner,
        pytest.raises(RunnerError, match="not accepted or have expired; log in again"),
    ):
        runner.resources("TrainJob", namespace)


def test_who_may_not_read_tools_is_told_of_all_else(
    runner: ClusterRunner, kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    runner.submit(job(namespace))
    models = "--resource=trainjobs.flagscale.dev,inferenceservices.flagscale.dev"
    for words in (
        ("serviceaccount", "trainer"),
        ("role", "models", "--verb=get,list", models),
        ("rolebinding", "models", "--role=models", f"--serviceaccount={namespace}:trainer"),
    ):
        assert kubectl("create", *words, "-n", namespace).returncode == 0
    token = kubectl("create", "token", "trainer", "-n", namespace).stdout.strip()
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "config").write_text(yaml.safe_dump(config))

    cli = CliRunner(env={"KUBECONFIG": str(tmp_path / "config"), "FLAGSCALE_ON": "cluster"})
    listed = cli.invoke(app, ["status", "-n", namespace])
    assert (listed.exit_code, listed.stdout.splitlines()[1].split()[1]) == (0, "j")
    assert "agenttools.flagscale.dev is forbidden" in listed.stderr
    assert cli.invoke(app, ["status", "j", "-n", namespace]).exit_code == 0
    missing = cli.invoke(app, ["status", "none", "-n", namespace])
    assert (missing.exit_code, "none: is not there" in missing.stderr) == (2, True)
    assert cli.invoke(app, ["status", "-n", "kube-system"]).exit_code == 2

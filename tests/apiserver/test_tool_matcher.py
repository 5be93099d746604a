"""The operator keeps the matcher's Deployment and Services in a real API server."""

import json
from pathlib import Path
from typing import Any

import pytest

from flagscale_operator.kinds.tool_matcher.render import KEPT
from flagscale_operator.kube.kinds import KubeKind
from support.kube_wait import wait_for
from support.kubectl import Kubectl
from support.operating import operating

pytestmark = pytest.mark.usefixtures("crds")
TWO = {"FLAGSCALE_MATCHER": json.dumps({"image": "matcher:1", "replicas": 2})}
ALL = {(kind.plural, name) for kind, name in KEPT}


@pytest.fixture
def home(kubectl: Kubectl, namespace: str) -> str:
    """A namespace as the chart's: `restricted` is enforced, and the matcher's account exists."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    assert kubectl("label", "namespace", namespace, label).returncode == 0
    made = kubectl("create", "serviceaccount", "flagscale-matcher", "-n", namespace)
    assert made.returncode == 0, made.stderr
    return namespace


def get(kubectl: Kubectl, namespace: str, kind: str, name: str) -> dict[str, Any]:
    done = kubectl("get", kind, name, "-n", namespace, "-o", "json")
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def kept(kubectl: Kubectl, namespace: str) -> set[tuple[str, str]]:
    """Those of the matcher's objects that are there."""
    return {one for one in ALL if get(kubectl, namespace, *one)}


def version(kubectl: Kubectl, namespace: str, kind: KubeKind, name: str) -> str:
    body = get(kubectl, namespace, kind.plural, name)
    # Its controllers write the status; what is asked for is the generation.
    return str(body["metadata"]["uid"]) + str(body["metadata"].get("generation", ""))


async def test_the_matcher_is_kept_and_removed_again(
    home: str, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    async with operating(kubeconfig, home, tmp_path / "1", elect=False, **TWO) as first:
        wait_for(lambda: kept(kubectl, home), lambda found: found == ALL, timeout_s=30)
        # Pod Security admits its pods.
        deployment = ("deployments", "flagscale-matcher")
        wait_for(
            lambda: get(kubectl, home, *deployment).get("status", {}),
            lambda status: status.get("replicas") == 2,
            timeout_s=30,
        )
        kubectl("scale", "deployment/flagscale-matcher", "--replicas=0", "-n", home)
        kubectl("delete", "service/flagscale-matcher", "-n", home)
        wait_for(lambda: kept(kubectl, home), lambda found: found == ALL, timeout_s=30)
        wait_for(
            lambda: get(kubectl, home, *deployment)["spec"]["replicas"],
            lambda replicas: replicas == 2,
            timeout_s=30,
        )
        first.kill()
    before = [version(kubectl, home, *one) for one in KEPT]
    async with operating(kubeconfig, home, tmp_path / "2", elect=False, **TWO) as second:
        await second.wait_for_reconciles(1, of_matcher=True)
        assert await second.writes() == 0
    assert [version(kubectl, home, *one) for one in KEPT] == before
    async with operating(kubeconfig, home, tmp_path / "3", elect=False):
        wait_for(lambda: kept(kubectl, home), lambda found: found == set(), timeout_s=30)


async def test_what_keeps_the_matcher_away_is_an_event_on_the_operator(
    home: str, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    # As the chart's; it needs no pod here.
    operator = ("flagscale-operator", "--image=operator:1", "--replicas=0")
    made = kubectl("create", "deployment", *operator, "-n", home)
    assert made.returncode == 0, made.stderr
    quota = kubectl("create", "quota", "none", "--hard=services=0", "-n", home)
    assert quota.returncode == 0, quota.stderr
    about = "involvedObject.name=flagscale-operator,reason=MatcherForbidden"

    def told() -> list[str]:
        done = kubectl("get", "events", "-n", home, f"--field-selector={about}", "-o", "json")
        return [event["message"] for event in json.loads(done.stdout)["items"]]

    async with operating(kubeconfig, home, tmp_path / "1", elect=False, **TWO):
        messages = wait_for(told, bool, timeout_s=30)
        assert "lift the quota" in messages[0]
        assert kubectl("delete", "quota", "none", "-n", home).returncode == 0
        wait_for(lambda: kept(kubectl, home), lambda found: found == ALL, timeout_s=60)

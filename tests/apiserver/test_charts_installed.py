"""The charts in a real API server: installed, watched over by Pod Security, uninstalled."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.helm import CHARTS, Helm
from support.kubectl import Kubectl

NAMESPACE = "installed"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:flagscale"
VALUES = ("--set", "matcher.enabled=true", "--set", "tools.secretNamespaces={kube-public}")
JOB = {
    "apiVersion": "flagscale.dev/v1alpha1",
    "kind": "TrainJob",
    "metadata": {"name": "kept"},
    "spec": {"script": {"image": "i", "command": ["c"]}},
}


@pytest.fixture(scope="module")
def helm(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm.built(tmp_path_factory.mktemp("helm"), kubeconfig)


@pytest.fixture(scope="module")
def notes(helm: Helm, kubectl: Kubectl, crds: None) -> Iterator[str]:
    """Both charts are installed in a namespace that enforces `restricted`; what helm said."""
    kubectl("create", "namespace", NAMESPACE)
    label = "pod-security.kubernetes.io/enforce=restricted"
    assert kubectl("label", "namespace", NAMESPACE, label).returncode == 0
    words = ""
    for chart, values in (("flagscale-crds", ()), ("flagscale", VALUES)):
        flags = ("-n", NAMESPACE, "--take-ownership", *values)
        done = helm("install", chart, str(CHARTS / chart), *flags)
        assert done.returncode == 0, done.stderr
        words = done.stdout
    yield words
    helm("uninstall", "flagscale", "-n", NAMESPACE, "--ignore-not-found")


def test_the_notes_tell_the_next_steps(notes: str) -> None:
    assert f"installed in namespace {NAMESPACE}.\n" in notes
    assert "kubectl apply -f crds/samples/trainjob-minimal.yaml" in notes
    assert (CHARTS.parent / "crds/samples/trainjob-minimal.yaml").exists()


@pytest.mark.usefixtures("notes")
def test_pod_security_admits_the_operator(kubectl: Kubectl) -> None:
    pod_is_there = ("--for=jsonpath={.status.replicas}=1", "--timeout=50s")
    done = kubectl("wait", "deployment/flagscale-operator", "-n", NAMESPACE, *pod_is_there)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize(
    ("verb", "resource", "where", "answer"),
    [
        ("list", "trainjobs.flagscale.dev", "default", "yes"),
        ("patch", "trainjobs.flagscale.dev/status", "default", "yes"),
        ("list", "inferenceservices.flagscale.dev", "default", "yes"),
        ("patch", "inferenceservices.flagscale.dev/status", "default", "yes"),
        ("patch", "inferenceservices.flagscale.dev", "default", "no"),
        ("patch", "inferenceservices.flagscale.dev/scale", "default", "yes"),
        ("delete", "horizontalpodautoscalers.autoscaling", "default", "yes"),
        ("create", "deployments.apps", "default", "yes"),
        ("delete", "deployments.apps", "default", "no"),
        ("delete", "services", "default", "no"),
        ("delete", "poddisruptionbudgets.policy", "default", "yes"),
        ("patch", "trainjobs.flagscale.dev", "default", "no"),
        ("patch", "pytorchjobs.kubeflow.org", "default", "yes"),
        ("delete", "pods", "default", "no"),
        ("get", "secrets", "default", "no"),
        ("get", "secrets", NAMESPACE, "no"),
        ("get", "secrets/flagscale-progress-tls", NAMESPACE, "yes"),
        ("update", "leases.coordination.k8s.io/flagscale-operator", NAMESPACE, "yes"),
        ("update", "leases.coordination.k8s.io/flagscale-operator", "default", "no"),
        ("delete", "deployments.apps/flagscale-matcher", NAMESPACE, "yes"),
        ("delete", "services/flagscale-matcher-replicas", NAMESPACE, "yes"),
        ("delete", "deployments.apps/flagscale-operator", NAMESPACE, "no"),
        ("delete", "deployments.apps/flagscale-matcher", "default", "no"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io", "default", "no"),
        ("create", "agenttools.flagscale.dev", "default", "yes"),
        ("patch", "agenttools.flagscale.dev/status", "default", "yes"),
        ("patch", "agenttoolsources.flagscale.dev", "default", "no"),
        ("list", "configmaps", "default", "no"),
        ("get", "secrets", "kube-public", "yes"),
        ("list", "secrets", "kube-public", "no"),
    ],
)
def test_the_operator_may_do_its_work_and_no_more(
    kubectl: Kubectl, verb: str, resource: str, where: str, answer: str
) -> None:
    assert may(kubectl, "operator", verb, resource, where) == answer


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize(
    ("verb", "resource", "where", "answer"),
    [
        ("watch", "agenttools.flagscale.dev", "default", "yes"),
        ("patch", "agenttools.flagscale.dev/status", "default", "yes"),
        ("patch", "agenttools.flagscale.dev", "default", "no"),
        ("list", "trainjobs.flagscale.dev", "default", "no"),
        ("create", "tokenreviews.authentication.k8s.io", "default", "yes"),
        ("create", "subjectaccessreviews.authorization.k8s.io", "default", "yes"),
        ("get", "secrets", "kube-public", "yes"),
        ("get", "secrets", "default", "no"),
        ("get", "secrets", NAMESPACE, "no"),
        ("list", "pods", NAMESPACE, "no"),
    ],
)
def test_the_matcher_may_do_its_work_and_no_more(
    kubectl: Kubectl, verb: str, resource: str, where: str, answer: str
) -> None:
    assert may(kubectl, "matcher", verb, resource, where) == answer


def may(kubectl: Kubectl, account: str, verb: str, resource: str, where: str) -> str:
    kind, _, part = resource.partition("/")
    which = [kind, f"--subresource={part}"] if part in ("status", "scale") else [resource]
    done = kubectl("auth", "can-i", verb, *which, "-n", where, f"--as={ACCOUNT}-{account}")
    return done.stdout.strip()


@pytest.mark.usefixtures("notes")
def test_uninstalling_keeps_resources_and_their_kind(
    helm: Helm, kubectl: Kubectl, namespace: str
) -> None:
    assert kubectl.apply(JOB, namespace).returncode == 0
    for chart in ("flagscale", "flagscale-crds"):
        assert helm("uninstall", chart, "-n", NAMESPACE).returncode == 0
    stored = json.loads(kubectl("get", "tj", "kept", "-n", namespace, "-o", "json").stdout)
    assert "deletionTimestamp" not in stored["metadata"]
    again = helm("install", "flagscale-crds", str(CHARTS / "flagscale-crds"), "-n", NAMESPACE)
    assert again.returncode == 0, again.stderr

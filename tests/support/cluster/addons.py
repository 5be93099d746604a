"""Installs the API objects of the operators and of the volume provisioner."""

import base64
from pathlib import Path
from typing import Any

import yaml

from . import builds, pki
from .commands import capture
from .operator_components import (
    BUSYBOX_IMAGE,
    STORAGE_NAMESPACE,
    TRAINING_NAMESPACE,
    WEBHOOK_CERTS,
    WEBHOOK_IDENTITY,
    WEBHOOK_SECRET,
    local_path_config_json,
)
from .recipes import BY_NAME
from .server_components import ServerPlan

FIELD_MANAGER = "flagscale-cluster"
WEBHOOK_CONFIGURATION = "validator.training-operator.kubeflow.org"
WEBHOOK_AUTHORITY = "training-operator-ca"
# Any user of a pod may write to a volume, as with a CSI driver's fsGroup.
SETUP_SCRIPT = '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n'
TEARDOWN_SCRIPT = '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n'


def kubectl(plan: ServerPlan, *arguments: str, input_text: str | None = None) -> str:
    """Run kubectl as administrator of the cluster."""
    config = f"--kubeconfig={plan.kubeconfig('admin')}"
    return capture([plan.program("kubectl"), config, *arguments], input_text=input_text)


def apply(plan: ServerPlan, text: str) -> None:
    """Apply YAML on the server's side; what is there already stays untouched."""
    flags = ("--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}")
    kubectl(plan, "apply", *flags, "-f", "-", input_text=text)


def install(plan: ServerPlan) -> None:
    """Make sure that CRDs, webhook, storage class and their namespaces exist."""
    training = builds.module_folder(plan.cache, BY_NAME["training-operator"])
    ray = builds.module_folder(plan.cache, BY_NAME["ray-operator"])
    crds = [
        training / "manifests" / "base" / "crds" / "kubeflow.org_pytorchjobs.yaml",
        *sorted((ray / "config" / "crd" / "bases").glob("*.yaml")),
    ]
    objects = [*storage_objects(local_path_config_json(plan)), *_webhook_objects(plan)]
    documents = [*(crd.read_text() for crd in crds), yaml.safe_dump_all(objects)]
    apply(plan, "\n---\n".join(documents))


def write_operator_files(plan: ServerPlan) -> None:
    """Write the files that the operators read from this machine."""
    pki.ensure(plan.state / "webhook-pki", [WEBHOOK_IDENTITY], WEBHOOK_AUTHORITY)
    WEBHOOK_CERTS.mkdir(parents=True, exist_ok=True)
    certs = plan.state / "webhook-certs"
    certs.mkdir(exist_ok=True)
    for name, content in _webhook_files(plan.state / "webhook-pki").items():
        (certs / name).write_bytes(content)
    local_path = plan.state / "local-path"
    local_path.mkdir(exist_ok=True)
    (local_path / "config.json").write_text(local_path_config_json(plan))
    (local_path / "helperPod.yaml").write_text(yaml.safe_dump(helper_pod()))


def _webhook_files(folder: Path) -> dict[str, bytes]:
    return {
        "ca.crt": (folder / "ca.crt").read_bytes(),
        "ca.key": (folder / "ca.key").read_bytes(),
        "tls.crt": (folder / "webhook.crt").read_bytes(),
        "tls.key": (folder / "webhook.key").read_bytes(),
    }


def _webhook_objects(plan: ServerPlan) -> list[dict[str, Any]]:
    files = _webhook_files(plan.state / "webhook-pki")
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": WEBHOOK_SECRET, "namespace": TRAINING_NAMESPACE},
        "data": encoded,
    }
    url = f"https://127.0.0.1:{plan.ports['training-webhook']}"
    return [_namespace(TRAINING_NAMESPACE), secret, webhook(url, encoded["ca.crt"])]


def webhook(url: str, authority: str) -> dict[str, Any]:
    """The validating webhook of PyTorchJobs, as in the release but reached by address."""
    rule = {
        "apiGroups": ["kubeflow.org"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["pytorchjobs"],
    }
    entry = {
        "name": "validator.pytorchjob.training-operator.kubeflow.org",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "url": f"{url}/validate-kubeflow-org-v1-pytorchjob",
            "caBundle": authority,
        },
        "failurePolicy": "Fail",
        "rules": [rule],
        "sideEffects": "None",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": WEBHOOK_CONFIGURATION},
        "webhooks": [entry],
    }


def storage_objects(config: str) -> list[dict[str, Any]]:
    """The default storage class `standard` and what its provisioner needs."""
    scripts = {"config.json": config, "setup": SETUP_SCRIPT, "teardown": TEARDOWN_SCRIPT}
    scripts["helperPod.yaml"] = yaml.safe_dump(helper_pod())
    return [
        _namespace(STORAGE_NAMESPACE),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": "local-path-provisioner-service-account",
                "namespace": STORAGE_NAMESPACE,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-path-config", "namespace": STORAGE_NAMESPACE},
            "data": scripts,
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "rancher.io/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        },
    ]


def helper_pod() -> dict[str, Any]:
    """The pod that makes and removes a volume's folder."""
    container = {
        "name": "helper-pod",
        "image": BUSYBOX_IMAGE,
        "imagePullPolicy": "IfNotPresent",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {"priorityClassName": "system-node-critical", "containers": [container]},
    }


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}

"""Parts of every pod that the operator makes: hardening, resources, placement."""

from typing import Any, Final

from flagscale_api.v1alpha1.common import PodOverrides, Resources

Manifest = dict[str, Any]
TERMINATION_LOG: Final = "/dev/termination-log"
CONFIG_DIR: Final = "/etc/flagscale"
NODE_LOSS_TOLERATION_S: Final = 30
"""How long a pod may stay on a node that stopped answering (Kubernetes' default: 300 s)."""


def pod_security() -> Manifest:
    """A pod's securityContext under Pod Security `restricted`."""
    return {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """A container's securityContext under Pod Security `restricted`."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def compute_resources(resources: Resources) -> Manifest:
    """A container's `resources`."""
    return {
        key: dict(value)
        for key, value in (("requests", resources.requests), ("limits", resources.limits))
        if value
    }


def placement(template: PodOverrides) -> Manifest:
    """Where and as whom a pod may run, without selector and tolerations; unset is left out."""
    wanted: Manifest = {
        "affinity": template.affinity,
        "priorityClassName": template.priority_class_name,
        "schedulerName": template.scheduler_name,
        "serviceAccountName": template.service_account_name,
        "imagePullSecrets": [{"name": name} for name in template.image_pull_secrets],
    }
    return {key: value for key, value in wanted.items() if value}


def tolerations(template: PodOverrides) -> list[Manifest]:
    """The user's, and a short stay on a lost node unless the user says otherwise."""
    own = [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": NODE_LOSS_TOLERATION_S,
        }
        for state in ("not-ready", "unreachable")
    ]
    asked = [t.model_dump(by_alias=True, exclude_none=True) for t in template.tolerations]
    taken = {t.get("key") for t in asked}
    return [*asked, *(t for t in own if t["key"] not in taken)]

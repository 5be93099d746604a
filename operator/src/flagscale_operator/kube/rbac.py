"""`python -m flagscale_operator.kube.rbac [--check]`: the chart's RBAC, from the table in code."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from flagscale_operator.kube.kinds import RULES, Rule

FILE = Path(__file__).resolve().parents[4] / "charts" / "flagscale" / "templates" / "rbac.yaml"
GROUP = "rbac.authorization.k8s.io"
NAME = "flagscale-operator"
CLUSTER_NAME = f"{NAME}-cluster"
# Its own name: the release's namespace may be watched too.
WATCHED_NAME = f"{NAME}-watched"
HEADER = """# Generated from the table in flagscale_operator/kube/kinds.py by `make crds`.
# Do not edit.
"""
_RELEASE_NAMESPACE = "{{ $.Release.Namespace }}"
_WATCHED_NAMESPACE = "{{ . }}"
Manifest = dict[str, Any]


def policy_rules(rules: Iterable[Rule]) -> list[Manifest]:
    """The `rules` of a Role or ClusterRole."""
    entries = []
    for rule in rules:
        resource = f"{rule.kind.plural}/{rule.subresource}".rstrip("/")
        entry: Manifest = {
            "apiGroups": [rule.kind.group],
            "resources": [resource],
            "verbs": list(rule.verbs),
        }
        if rule.resource_names:
            entry["resourceNames"] = list(rule.resource_names)
        entries.append(entry)
    return entries


def _object(kind: str, name: str, namespace: str | None, body: Manifest) -> Manifest:
    metadata: Manifest = {"name": name, "labels": "LABELS"}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, **body}


def _binding(role_kind: str, role: str, namespace: str | None, name: str | None = None) -> Manifest:
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": _RELEASE_NAMESPACE}
    reference = {"apiGroup": GROUP, "kind": role_kind, "name": role}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    return _object(kind, name or role, namespace, {"roleRef": reference, "subjects": [subject]})


def _dump(*documents: Manifest) -> str:
    text = "".join(f"---\n{yaml.safe_dump(d, sort_keys=False, width=100)}" for d in documents)
    labels = '{{- include "flagscale.labels" $ | nindent 4 }}'
    for plain in (_RELEASE_NAMESPACE, _WATCHED_NAMESPACE):
        text = text.replace(f"'{plain}'", plain)
    return text.replace("labels: LABELS", f"labels: {labels}")


def rendered_template() -> str:
    """The text of the chart's template.

    Rights to the objects of users hold in the watched namespaces only, if any are named; rights
    to kinds without a namespace can't be narrowed.
    """
    cluster = [r for r in RULES if r.scope == "cluster"]
    watched = policy_rules(r for r in cluster if r.kind.namespaced)
    global_ = policy_rules(r for r in cluster if not r.kind.namespaced)
    own = policy_rules(r for r in RULES if r.scope == "release")
    return (
        HEADER
        + _dump(
            _object("ClusterRole", NAME, None, {"rules": watched}),
            _object("ClusterRole", CLUSTER_NAME, None, {"rules": global_}),
            _binding("ClusterRole", CLUSTER_NAME, None),
            _object("Role", NAME, _RELEASE_NAMESPACE, {"rules": own}),
            _binding("Role", NAME, _RELEASE_NAMESPACE),
        )
        + "{{- range .Values.watchNamespaces }}\n"
        + _dump(_binding("ClusterRole", NAME, _WATCHED_NAMESPACE, WATCHED_NAME))
        + "{{- else }}\n"
        + _dump(_binding("ClusterRole", NAME, None))
        + "{{- end }}\n"
    )


def main() -> int:
    """Write the template, or with --check say whether it is stale (exit code 1)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    if parser.parse_args().check:
        current = FILE.exists() and FILE.read_text() == rendered_template()
        print("RBAC is current" if current else f"{FILE.name}: stale; run `make crds`")
        return 0 if current else 1
    FILE.write_text(rendered_template())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m flagscale_operator.kube.rbac [--check]`: the chart's RBAC, from the table in code."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from flagscale_operator.kube.kinds import RULES, Rule, Scope

FILE = Path(__file__).resolve().parents[4] / "charts" / "flagscale" / "templates" / "rbac.yaml"
NAME = "flagscale-operator"
HEADER = """# Generated from the table in flagscale_operator/kube/kinds.py by `make crds`.
# Do not edit.
"""
_RELEASE_NAMESPACE = "{{ .Release.Namespace }}"


def policy_rules(rules: Iterable[Rule], scope: Scope) -> list[dict[str, Any]]:
    """The `rules` of a Role or ClusterRole."""
    entries = []
    for rule in rules:
        if rule.scope != scope:
            continue
        resource = f"{rule.kind.plural}/{rule.subresource}".rstrip("/")
        entry = {
            "apiGroups": [rule.kind.group],
            "resources": [resource],
            "verbs": list(rule.verbs),
        }
        if rule.resource_names:
            entry["resourceNames"] = list(rule.resource_names)
        entries.append(entry)
    return entries


def _role(kind: str, scope: Scope) -> list[dict[str, Any]]:
    metadata: dict[str, Any] = {"name": NAME, "labels": "LABELS"}
    if kind == "Role":
        metadata["namespace"] = _RELEASE_NAMESPACE
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": _RELEASE_NAMESPACE}
    head = {"apiVersion": f"{group}/v1", "metadata": metadata}
    return [
        {**head, "kind": kind, "rules": policy_rules(RULES, scope)},
        {
            **head,
            "kind": f"{kind}Binding",
            "roleRef": {"apiGroup": group, "kind": kind, "name": NAME},
            "subjects": [subject],
        },
    ]


def rendered_template() -> str:
    """The text of the chart's template."""
    documents = [*_role("ClusterRole", "cluster"), *_role("Role", "release")]

    class Plain(yaml.SafeDumper):
        """Writes no anchors: the same metadata is repeated in full."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401 - PyYAML's signature
            return True

    text = yaml.dump_all(documents, Dumper=Plain, sort_keys=False, width=100)
    labels = '{{- include "flagscale.labels" . | nindent 4 }}'
    return HEADER + text.replace("labels: LABELS", f"labels: {labels}").replace(
        f"'{_RELEASE_NAMESPACE}'", _RELEASE_NAMESPACE
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

"""`python -m flagscale_operator.kube.rbac [--check]`: the chart's RBAC, from the table in code."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from flagscale_operator.kube.kinds import MATCHER_NAME, MATCHER_RULES, OPERATOR_NAME, RULES, Rule

TEMPLATES: Final = Path(__file__).resolve().parents[4] / "charts" / "flagscale" / "templates"
GROUP: Final = "rbac.authorization.k8s.io"
HEADER: Final = """# Generated from the table in flagscale_operator/kube/kinds.py by `make crds`.
# Do not edit.
"""
_RELEASE_NAMESPACE: Final = "{{ $.Release.Namespace }}"
_NAMESPACE: Final = "{{ . }}"
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Account:
    """A service account and all that it may do."""

    name: str
    rules: Sequence[Rule]
    file: str
    condition: str = ""
    """A value of the chart without which the account does not exist."""


OPERATOR: Final = Account(OPERATOR_NAME, RULES, "rbac.yaml")
MATCHER: Final = Account(
    MATCHER_NAME, MATCHER_RULES, "matcher-rbac.yaml", ".Values.matcher.enabled"
)
ACCOUNTS: Final = (OPERATOR, MATCHER)


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


def _binding(
    account: Account, role_kind: str, role: str, namespace: str | None, name: str | None = None
) -> Manifest:
    subject = {
        "kind": "ServiceAccount",
        "name": account.name,
        "namespace": _RELEASE_NAMESPACE,
    }
    reference = {"apiGroup": GROUP, "kind": role_kind, "name": role}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    return _object(kind, name or role, namespace, {"roleRef": reference, "subjects": [subject]})


def _dump(*documents: Manifest) -> str:
    text = "".join(f"---\n{yaml.safe_dump(d, sort_keys=False, width=100)}" for d in documents)
    labels = '{{- include "flagscale.labels" $ | nindent 4 }}'
    for plain in (_RELEASE_NAMESPACE, _NAMESPACE):
        text = text.replace(f"'{plain}'", plain)
    return text.replace("labels: LABELS", f"labels: {labels}")


def rendered_template(account: Account) -> str:
    """The text of the chart's template for one account.

    Rights to the objects of users hold in the watched namespaces only, if any are named; rights
    to kinds without a namespace can't be narrowed; rights to Secrets hold where the chart is told.
    """
    cluster = [r for r in account.rules if r.scope == "cluster"]
    watched = policy_rules(r for r in cluster if r.kind.namespaced)
    global_ = policy_rules(r for r in cluster if not r.kind.namespaced)
    own = policy_rules(r for r in account.rules if r.scope == "release")
    name, cluster_name = account.name, f"{account.name}-cluster"
    at_home = (
        _object("Role", name, _RELEASE_NAMESPACE, {"rules": own}),
        _binding(account, "Role", name, _RELEASE_NAMESPACE),
    )
    text = (
        _dump(
            _object("ClusterRole", name, None, {"rules": watched}),
            _object("ClusterRole", cluster_name, None, {"rules": global_}),
            _binding(account, "ClusterRole", cluster_name, None),
            *(at_home if own else ()),
        )
        + _where_watched(account, name)
        + _categories(account)
        + _secrets(account)
    )
    return HEADER + (
        f"{{{{- if {account.condition} }}}}\n{text}{{{{- end }}}}\n" if account.condition else text
    )


def _where_watched(account: Account, role: str) -> str:
    """A ClusterRole bound in the watched namespaces, or everywhere."""
    return (
        "{{- range .Values.watchNamespaces }}\n"
        # Its own name: the release's namespace may be watched too.
        + _dump(_binding(account, "ClusterRole", role, _NAMESPACE, f"{role}-watched"))
        + "{{- else }}\n"
        + _dump(_binding(account, "ClusterRole", role, None))
        + "{{- end }}\n"
    )


def _categories(account: Account) -> str:
    """A role that is there only where the chart is told."""
    rules = policy_rules(r for r in account.rules if r.scope == "categories")
    name = f"{account.name}-categories"
    return (
        "{{- if .Values.matcher.manageCategories }}\n"
        + _dump(_object("ClusterRole", name, None, {"rules": rules}))
        + _where_watched(account, name)
        + "{{- end }}\n"
        if rules
        else ""
    )


def _secrets(account: Account) -> str:
    """A role in each namespace whose Secrets tools may name."""
    rules = policy_rules(r for r in account.rules if r.scope == "secrets")
    name = f"{account.name}-secrets"
    return (
        "{{- range .Values.tools.secretNamespaces }}\n"
        + _dump(
            _object("Role", name, _NAMESPACE, {"rules": rules}),
            _binding(account, "Role", name, _NAMESPACE),
        )
        + "{{- end }}\n"
    )


def main() -> int:
    """Write the templates, or with --check say which are stale (exit code 1)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check, stale = parser.parse_args().check, []
    for account in ACCOUNTS:
        file, text = TEMPLATES / account.file, rendered_template(account)
        if not check:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            stale.append(account.file)
    if check:
        print(f"{', '.join(stale)}: stale; run `make crds`" if stale else "RBAC is current")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

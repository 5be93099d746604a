from collections.abc import Iterable
from typing import Any

from flagscale_operator.kube import rbac
from flagscale_operator.kube.kinds import MATCHER_RULES, RULES, Rule
from support.helm import NAMESPACE, Helm

ROLES = ("Role", "ClusterRole")
Right = tuple[str, str, str, tuple[str, ...]]
# A role of Kubernetes itself: read whose certificate the front proxy shows.
READ_FRONT_PROXY = ("", "configmaps", "get", ("extension-apiserver-authentication",))
FRONT_PROXY: dict[str, Any] = {
    "rules": [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "verbs": ["get"],
            "resourceNames": ["extension-apiserver-authentication"],
        }
    ]
}
NARROW = ("--set", f"watchNamespaces={{team-a,{NAMESPACE}}}")
MATCHER = ("--set", "matcher.enabled=true")
CATEGORIES = ("--set", "matcher.manageCategories=true")
SECRETS = ("--set", "tools.secretNamespaces={team-a,team-b}")
READ_SECRETS = ("", "secrets", "get", ())


def rights_of(rule: Rule) -> set[Right]:
    resource = f"{rule.kind.plural}/{rule.subresource}".rstrip("/")
    return {(rule.kind.group, resource, verb, rule.resource_names) for verb in rule.verbs}


def wanted(*, scope: str, namespaced: bool, table: Iterable[Rule] = RULES) -> set[Right]:
    rules = [r for r in table if r.scope == scope and r.kind.namespaced == namespaced]
    return {right for rule in rules for right in rights_of(rule)}


def granted(role: dict[str, Any]) -> set[Right]:
    return {
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def bound(
    objects: list[dict[str, Any]], name: str = rbac.OPERATOR.name
) -> dict[str | None, set[Right]]:
    """Rights of an account by the namespace they hold in; None: everywhere."""
    roles = {(o["kind"], o["metadata"]["name"]): o for o in objects if o["kind"] in ROLES}
    roles["Role", "extension-apiserver-authentication-reader"] = FRONT_PROXY
    rights: dict[str | None, set[Right]] = {}
    for binding in (o for o in objects if o["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        (account,) = binding["subjects"]
        assert (account["kind"], account["namespace"]) == ("ServiceAccount", NAMESPACE)
        if account["name"] != name:
            continue
        role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        rights.setdefault(binding["metadata"].get("namespace"), set()).update(granted(role))
    return rights


def test_the_operator_has_the_rights_of_the_table_and_no_more(helm: Helm) -> None:
    everywhere = wanted(scope="cluster", namespaced=True) | wanted(
        scope="cluster", namespaced=False
    )
    at_home = wanted(scope="release", namespaced=True)
    assert bound(helm.objects("flagscale")) == {
        None: everywhere,
        NAMESPACE: at_home,
        "kube-system": {READ_FRONT_PROXY},
    }


def test_watched_namespaces_narrow_the_rights(helm: Helm) -> None:
    users = wanted(scope="cluster", namespaced=True)
    assert bound(helm.objects("flagscale", *NARROW)) == {
        None: wanted(scope="cluster", namespaced=False),
        "team-a": users,
        NAMESPACE: users | wanted(scope="release", namespaced=True),
        "kube-system": {READ_FRONT_PROXY},
    }


def test_the_matcher_has_the_rights_of_its_table_and_no_more(helm: Helm) -> None:
    users = wanted(scope="cluster", namespaced=True, table=MATCHER_RULES)
    reviews = wanted(scope="cluster", namespaced=False, table=MATCHER_RULES)
    matcher = rbac.MATCHER.name
    assert bound(helm.objects("flagscale"), matcher) == {}
    assert bound(helm.objects("flagscale", *MATCHER), matcher) == {None: users | reviews}
    assert bound(helm.objects("flagscale", *MATCHER, *NARROW), matcher) == {
        None: reviews,
        "team-a": users,
        NAMESPACE: users,
    }


def test_the_matcher_changes_tools_only_where_the_chart_lets_it(helm: Helm) -> None:
    patch = {("flagscale.dev", "agenttools", "patch", ())}
    assert wanted(scope="categories", namespaced=True, table=MATCHER_RULES) == patch
    for narrow, places in (((), {None}), (NARROW, {"team-a", NAMESPACE})):
        before = bound(helm.objects("flagscale", *MATCHER, *narrow), rbac.MATCHER.name)
        after = bound(helm.objects("flagscale", *MATCHER, *CATEGORIES, *narrow), rbac.MATCHER.name)
        assert not any(rights & patch for rights in before.values())
        more = {place: rights | patch for place, rights in before.items() if place in places}
        assert after == {**before, **more}


def test_secrets_are_read_where_the_chart_is_told_and_nowhere_else(helm: Helm) -> None:
    for account in rbac.ACCOUNTS:
        before = bound(helm.objects("flagscale", *MATCHER), account.name)
        after = bound(helm.objects("flagscale", *MATCHER, *SECRETS), account.name)
        assert all(READ_SECRETS not in rights for rights in before.values())
        assert after == {**before, "team-a": {READ_SECRETS}, "team-b": {READ_SECRETS}}


def test_no_two_objects_share_a_name(helm: Helm) -> None:
    objects = helm.objects("flagscale", *NARROW, *MATCHER, *CATEGORIES, *SECRETS)
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(set(names)) == len(names)


def test_nothing_is_granted_by_wildcard() -> None:
    assert "*" not in str([rights_of(rule) for rule in (*RULES, *MATCHER_RULES)])


def test_the_templates_are_current() -> None:
    for account in rbac.ACCOUNTS:
        assert (rbac.TEMPLATES / account.file).read_text() == rbac.rendered_template(account)

"""What a wanted matcher becomes: golden pairs wanted.yaml -> objects.yaml."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_operator.kinds.tool_matcher.render import KEPT, render_matcher
from flagscale_operator.kinds.tool_matcher.wanted import MatcherWanted
from flagscale_operator.kube.kinds import POD_DISRUPTION_BUDGET

GOLDEN = Path(__file__).parents[3] / "golden" / "tool_matcher"


def rendered(case: str) -> list[dict[str, Any]]:
    wanted = yaml.safe_load((GOLDEN / case / "wanted.yaml").read_text())
    owner, watched = wanted.pop("owner", None), wanted.pop("watchNamespaces", ())
    objects = render_matcher(
        MatcherWanted(**wanted),
        namespace="flagscale-system",
        watch_namespaces=watched,
        owner=owner,
    )
    assert list(objects) == [kept for kept in KEPT if kept in objects]
    return list(objects.values())


@pytest.mark.parametrize("case", sorted(p.name for p in GOLDEN.iterdir()))
def test_the_matcher_becomes_the_golden_objects(case: str) -> None:
    assert rendered(case) == list(yaml.safe_load_all((GOLDEN / case / "objects.yaml").read_text()))


def test_one_replica_needs_no_disruption_budget() -> None:
    kinds = {case: [body["kind"] for body in rendered(case)] for case in ("minimal", "full")}
    assert POD_DISRUPTION_BUDGET.kind not in kinds["minimal"]
    assert POD_DISRUPTION_BUDGET.kind in kinds["full"]


@pytest.mark.parametrize("case", ["minimal", "full"])
def test_services_select_the_matchers_pods_alone(case: str) -> None:
    objects = rendered(case)
    labels = objects[0]["spec"]["template"]["metadata"]["labels"]
    operators = {"app.kubernetes.io/name": "flagscale", "app.kubernetes.io/component": "operator"}
    selectors = [body["spec"]["selector"] for body in objects if body["kind"] == "Service"]
    assert len(selectors) == 2
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= operators.items()

"""The server that agents meet at, which the chart runs when it is asked to."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.helm import NAMESPACE, Helm

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "chart" / "redis.yaml"
ON = ("--set", "redis.enabled=true")


def of_redis(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in objects if one["metadata"]["name"] == "flagscale-redis"]


def test_it_is_not_there_unless_asked_for(helm: Helm) -> None:
    assert of_redis(helm.objects("flagscale")) == []


def test_the_chart_makes_what_was_reviewed(helm: Helm) -> None:
    made = of_redis(helm.objects("flagscale", *ON))
    assert made == [one for one in yaml.safe_load_all(GOLDEN.read_text()) if one]


def test_values_reach_the_server(helm: Helm) -> None:
    flags = (
        "redis.passwordSecret.name=ours", "redis.passwordSecret.key=pass", "redis.maxMemory=1gb",
        "redis.storage.size=20Gi", "redis.storage.className=fast", "imagePullSecrets={pull}",
    )  # fmt: skip
    made = helm.objects("flagscale", *ON, *(part for one in flags for part in ("--set", one)))
    (stateful_set, service) = sorted(of_redis(made), key=lambda one: one["kind"], reverse=True)
    pod = stateful_set["spec"]["template"]["spec"]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert secret == {"secretName": "ours", "items": [{"key": "pass", "path": "password"}]}
    assert pod["containers"][0]["args"][-2:] == ["--maxmemory", "1gb"]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    (claim,) = stateful_set["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert service["metadata"]["namespace"] == NAMESPACE
    assert service["spec"]["selector"] == stateful_set["spec"]["selector"]["matchLabels"]


def test_its_pod_passes_pod_security_restricted_and_has_no_token(helm: Helm) -> None:
    (stateful_set, _) = sorted(
        of_redis(helm.objects("flagscale", *ON)), key=lambda one: one["kind"], reverse=True
    )
    pod = stateful_set["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ("redis.enabled=maybe", "enabled"),
        ("redis.password=x", "password"),
        ("redis.image=", "image"),
        ("redis.passwordSecret.name=A_b", "name"),
        ("redis.passwordSecret.key=a b", "key"),
        ("redis.storage.size=much", "size"),
        ("redis.maxMemory=0mb", "maxMemory"),
        ("redis.replicas=2", "replicas"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, value: str, where: str) -> None:
    done = helm.template("flagscale", "--set", value)
    assert done.returncode != 0
    assert where in done.stderr

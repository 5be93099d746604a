"""Agents in pods that work together over the Redis that the chart runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster_agents import SCRIPTS, script_pod
from support.demo.install import RELEASE_NAMESPACE, install_charts
from support.demo.target import Target
from support.kube_wait import wait_for
from support.workspace import Workspace

SECRET = "flagscale-redis"
PASSWORD = 'pass "word" \\ $(id)'
LEASE_S = 3.0
SLACK_S = 3.0
"""For a python that starts, and two cores that run a cluster."""


def in_release(target: Target, *arguments: str) -> str:
    return target.kubectl("-n", RELEASE_NAMESPACE, *arguments).stdout


def make_secret(target: Target, namespace: str) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": namespace},
        "stringData": {"password": PASSWORD},
    }
    target.kubectl("apply", "-f", "-", text=json.dumps(secret))


@pytest.fixture(scope="module")
def redis(target: Target, images: dict[str, str]) -> Iterator[None]:
    make_secret(target, RELEASE_NAMESPACE)
    install_charts(target, images, "--set", "redis.enabled=true")
    yield
    install_charts(target, images)
    in_release(target, "delete", "pvc", "data-flagscale-redis-0", "--wait=false")
    in_release(target, "delete", "secret", SECRET)


@pytest.fixture(scope="module")
def team(redis: None, workspace: Workspace) -> Workspace:
    """Two pods: one works, one asks."""
    make_secret(workspace.target, workspace.namespace)
    workspace.kubectl("create", "configmap", "scripts", f"--from-file={SCRIPTS}")
    for name, command in (
        ("worker", ("/scripts/teammate.py", "work")),
        ("asker", ("-c", "import signal; signal.pause()")),
    ):
        pod = script_pod(workspace, name, *command)
        reference = {"name": SECRET, "key": "password"}
        pod["spec"]["containers"][0]["env"] = [
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": reference}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ]
        workspace.apply(pod)
        workspace.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")
    return workspace


def ask(team: Workspace, *arguments: str) -> Any:
    """What the asker's agent says."""
    said = team.kubectl("exec", "asker", "--", "python", "/scripts/teammate.py", *arguments)
    return json.loads(said)


def test_agents_of_two_pods_see_each_other(team: Workspace) -> None:
    seen = wait_for(lambda: ask(team, "look"), lambda seen: seen.get("holder"), timeout_s=60)
    assert seen == {"agents": ["worker"], "holder": "worker"}


def test_a_task_is_handed_to_an_agent_in_another_pod(team: Workspace) -> None:
    assert ask(team, "hand-off", "a letter") == {"state": "completed", "text": "done: a letter"}


def test_who_has_not_the_password_stays_outside(team: Workspace) -> None:
    assert "does not let us in" in ask(team, "enter", "guess")["error"]


def test_the_password_is_nowhere_to_be_seen(team: Workspace) -> None:
    code = "cat /proc/*/cmdline /tmp/access.conf; env"
    shown = in_release(team.target, "exec", "flagscale-redis-0", "--", "sh", "-c", code)
    assert "valkey-server" in shown
    assert PASSWORD not in shown


def test_what_was_sent_survives_the_death_of_the_server(team: Workspace) -> None:
    assert ask(team, "send", "20")["sent"] == 20
    in_release(team.target, "delete", "pod", "flagscale-redis-0", "--grace-period=0", "--force")
    in_release(team.target, "rollout", "status", "statefulset/flagscale-redis", "--timeout=120s")

    assert ask(team, "drain")["got"] == list(range(20))
    assert ask(team, "drain")["got"] == []


def test_a_killed_agents_claim_is_free_within_its_lease(team: Workspace) -> None:
    team.kubectl("delete", "pod", "worker", "--grace-period=0", "--force")

    taken = ask(team, "take", "60")

    assert taken["holder"] == "taker"
    assert taken["took_s"] <= LEASE_S + SLACK_S
    assert ask(team, "look") == {"agents": [], "holder": None}

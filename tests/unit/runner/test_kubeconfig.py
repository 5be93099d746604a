from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_runner.base import RunnerError
from flagscale_runner.cluster.kubeconfig import connection_of

TOKEN = '{"kind": "ExecCredential", "status": {"token": "from-plugin"}}'


def config(tmp_path: Path, user: dict[str, Any]) -> dict[str, str]:
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "u", "namespace": f"{name}-team"}}
        for name in ("one", "two")
    ]
    clusters = [
        {"name": name, "cluster": {"server": f"https://{name}.example"}} for name in ("one", "two")
    ]
    file = tmp_path / "config"
    users = [{"name": "u", "user": user}]
    about = {"contexts": contexts, "clusters": clusters, "users": users}
    file.write_text(yaml.safe_dump({"current-context": "one", **about}))
    return {"KUBECONFIG": str(file), "PATH": "/usr/bin:/bin"}


def plugin(*command: str) -> dict[str, Any]:
    api = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": api, "command": command[0], "args": list(command[1:])}}


def test_the_current_context_and_its_namespace_are_taken(tmp_path: Path) -> None:
    connection, namespace = connection_of(config(tmp_path, {"token": "t"}), None)
    assert (connection.server, namespace) == ("https://one.example", "one-team")


def test_a_context_can_be_named(tmp_path: Path) -> None:
    connection, namespace = connection_of(config(tmp_path, {"token": "t"}), "two")
    assert (connection.server, namespace) == ("https://two.example", "two-team")


def test_a_plugin_is_asked_for_its_token(tmp_path: Path) -> None:
    user = plugin("sh", "-c", f"test -n \"$KUBERNETES_EXEC_INFO\" && echo '{TOKEN}'")
    connection, _ = connection_of(config(tmp_path, user), None)
    assert connection.bearer() == "from-plugin"


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (plugin("no-such-plugin"), "the plugin is not there, got no-such-plugin"),
        (plugin("sh", "-c", "echo log in first >&2; exit 1"), "sh failed: log in first"),
        (plugin("echo", "no JSON"), "echo gave no credentials"),
    ],
)
def test_a_plugin_that_fails_is_a_sentence(tmp_path: Path, user: dict[str, Any], said: str) -> None:
    with pytest.raises(RunnerError, match=said):
        connection_of(config(tmp_path, user), None)


def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="got 'three'"):
        connection_of(config(tmp_path, {"token": "t"}), "three")

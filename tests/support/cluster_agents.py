"""AgentTools on the real cluster: applied, waited for, and asked for by an agent in a pod."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.connection import load_connection
from flagscale_operator.kube.http import KubeHttp
from flagscale_operator.kube.kinds import AGENT_TOOL
from support.kube_wait import wait_for
from support.workspace import Status, Workspace, restricted_pod

SCRIPTS = Path(__file__).resolve().parents[1] / "e2e" / "scripts"
UPDATES_PER_S = 120
AGENT = "agent"
TOOLS = "tools"
CHANGEABLE = "helper-1"
"""The tool that the agent may change."""


def agent_tool(name: str, description: str, **spec: Any) -> dict[str, Any]:
    """A manifest."""
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "AgentTool",
        "metadata": {"name": name},
        "spec": {"description": description, **spec},
    }


def apply_file(workspace: Workspace, file: Path, tools: list[dict[str, Any]]) -> None:
    """Write them into one file, and apply it as a user does."""
    file.write_text(yaml.safe_dump_all(tools))
    workspace.kubectl("apply", "--server-side", "-f", str(file))


def conditions(body: Status) -> dict[str, str]:
    """Status by type."""
    return {c["type"]: c["status"] for c in body.get("status", {}).get("conditions", ())}


def ready_tools(workspace: Workspace) -> int:
    """How many of the namespace are Ready."""
    found = workspace.target.get("agenttools", "-n", workspace.namespace)["items"]
    return sum(conditions(body).get("Ready") == "True" for body in found)


def wait_tool(workspace: Workspace, name: str, until: Callable[[Status], bool]) -> Status:
    """Until one satisfies."""

    def body() -> Status:
        return workspace.target.get("agenttool", name, "-n", workspace.namespace)

    return wait_for(body, until, timeout_s=90)


def script_pod(workspace: Workspace, name: str, *command: str) -> dict[str, Any]:
    """A pod of the matcher's image that has the scripts at /scripts."""
    pod = restricted_pod(name, workspace.images["matcher"], ["python", *command])
    pod["metadata"]["labels"] = {"app": name}
    scripts = {"name": "scripts", "configMap": {"name": "scripts"}}
    mount = {"name": "scripts", "mountPath": "/scripts"}
    pod["spec"]["volumes"].append(scripts)
    pod["spec"]["containers"][0]["volumeMounts"].append(mount)
    return pod


def start_tools(workspace: Workspace) -> None:
    """The pod whose HTTP and MCP tools are called, and its Service."""
    workspace.kubectl("create", "configmap", "scripts", f"--from-file={SCRIPTS}")
    pod = script_pod(workspace, TOOLS, "/scripts/cluster_tools.py")
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    pod["spec"]["containers"][0]["env"] = [address]
    workspace.apply(pod)
    ports = [{"name": f"p{port}", "port": port} for port in (8000, 8001)]
    service = {"selector": {"app": TOOLS}, "ports": ports}
    metadata = {"name": TOOLS}
    workspace.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})


def start_agent(workspace: Workspace) -> None:
    """The pod that asks, with a token for the matcher and a Role that may find and call."""
    workspace.kubectl("create", "serviceaccount", AGENT)
    rules = [
        {"apiGroups": ["flagscale.dev"], "resources": ["agenttools"], "verbs": ["get"]},
        {"apiGroups": ["flagscale.dev"], "resources": ["agenttools/call"], "verbs": ["create"]},
        {
            "apiGroups": ["flagscale.dev"],
            "resources": ["agenttools"],
            "verbs": ["patch"],
            "resourceNames": [CHANGEABLE],
        },
    ]
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": AGENT}}
    workspace.apply({**rbac, "kind": "Role", "rules": rules})
    subject = {"kind": "ServiceAccount", "name": AGENT, "namespace": workspace.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": AGENT}
    workspace.apply({**rbac, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]})
    pod = script_pod(workspace, AGENT, "-c", "import signal; signal.pause()")
    pod["spec"]["serviceAccountName"] = AGENT
    token = {"serviceAccountToken": {"path": "token", "audience": "flagscale-tools"}}
    pod["spec"]["volumes"].append({"name": "token", "projected": {"sources": [token]}})
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    mounts.append({"name": "token", "mountPath": "/token"})
    workspace.apply(pod)
    for name in (AGENT, TOOLS):
        workspace.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")


def agent(workspace: Workspace, command: str, **arguments: Any) -> Any:
    """What the agent gets."""
    return json.loads(workspace.kubectl(*_command(command, arguments)))


@contextmanager
def busy_agent(workspace: Workspace, command: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Begun before the body runs; what the agent gets is there after it."""
    kubectl = str(Path(sys.executable).parent / "kubectl")
    where = [f"--kubeconfig={workspace.target.kubeconfig}", "-n", workspace.namespace]
    answer: dict[str, Any] = {}
    with subprocess.Popen(
        [kubectl, *where, *_command(command, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        first = process.stderr.readline()
        assert "begun" in first, first + process.stderr.read()
        yield answer
        said, _ = process.communicate(timeout=120)
    answer.update(json.loads(said))


def _command(command: str, arguments: Any) -> list[str]:
    return ["exec", AGENT, "--", "python", "/scripts/agent.py", command, json.dumps(arguments)]


def call(workspace: Workspace, name: str, **arguments: Any) -> Any:
    """Call a tool through the matcher."""
    place = {"namespace": workspace.namespace, "name": name}
    return agent(workspace, "call_tool", **place, arguments=arguments)


async def change_often(workspace: Workspace, names: Sequence[str], *, rounds: int) -> float:
    """Change all of them so many times: `UPDATES_PER_S` are offered; how many were taken."""
    kube = KubeHttp.open(
        load_connection({"KUBECONFIG": str(workspace.target.kubeconfig)}),
        field_manager="test",
        budget=RequestBudget(rate_per_s=None),
        on_request=lambda *_: None,
    )
    begun = time.monotonic()

    async def change(name: str) -> None:
        for number in range(1, rounds + 1):
            body = agent_tool(name, f"Striping of zebras, version {number}")
            body["metadata"]["namespace"] = workspace.namespace
            await kube.apply(AGENT_TOOL, body, force=True)
            await asyncio.sleep(begun + number * len(names) / UPDATES_PER_S - time.monotonic())

    try:
        await asyncio.gather(*map(change, names))
    finally:
        await kube.close()
    return rounds * len(names) / (time.monotonic() - begun)


def kill_embedder(workspace: Workspace) -> None:
    """Kill the process with the model in the matcher's pod."""
    code = (
        "import os, pathlib, signal\n"
        "for one in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    if b'service.embedding' in (one / 'cmdline').read_bytes()"
        " and int(one.name) != os.getpid():\n"
        "        os.kill(int(one.name), signal.SIGKILL); print(one.name)\n"
    )
    where = ("-n", "flagscale-system", "exec", "deployment/flagscale-matcher", "--")
    killed = workspace.target.kubectl(*where, "python", "-c", code).stdout
    assert killed.strip(), "no embedder ran"

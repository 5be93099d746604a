"""InferenceServices on the real cluster: made, waited for and asked."""

import json
from collections.abc import Callable
from typing import Any

from support.kube_wait import wait_for
from support.workspace import Status, Workspace

ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {'content-type': 'text/json'})
with urllib.request.urlopen(request, timeout=60) as answer:
    print(answer.read().decode())
"""
PROMPT = {"prompt": "In the beginning", "max_tokens": 8}
HELLO = {"messages": [{"role": "user", "content": "In the beginning"}], "max_tokens": 8}


def submit(workspace: Workspace, name: str, **spec: Any) -> None:
    """Create an InferenceService."""
    metadata = {"name": name}
    kind = {"apiVersion": "flagscale.dev/v1alpha1", "kind": "InferenceService"}
    workspace.apply({**kind, "metadata": metadata, "spec": spec})


def wait(workspace: Workspace, name: str, until: Callable[[Status], bool]) -> Status:
    """Until its status satisfies."""

    def status() -> Status:
        body = workspace.target.get("inferenceservice", name, "-n", workspace.namespace)
        found: Status = body.get("status", {})
        return found

    return wait_for(status, until, timeout_s=240)


def conditions(status: Status) -> dict[str, str]:
    """Reasons by type."""
    return {c["type"]: c["reason"] for c in status.get("conditions", ())}


def ready(status: Status) -> bool:
    """Whether all of it serves."""
    states = {c["type"]: c["status"] for c in status.get("conditions", ())}
    return states.get("Ready") == "True"


def ask(workspace: Workspace, status: Status) -> Any:
    """The answer to a chat."""
    return _post(workspace, status["url"] + "/chat/completions", HELLO)


def complete(workspace: Workspace, status: Status) -> Any:
    """How it goes on with a text: needs no chat template, which our own trainer's models lack."""
    return _post(workspace, status["url"] + "/completions", PROMPT)


def _post(workspace: Workspace, url: str, body: dict[str, Any]) -> Any:
    return json.loads(workspace.python(ASK, url, json.dumps(body)))

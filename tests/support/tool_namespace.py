"""The AgentTools of one namespace of a real API server, and the matcher beside them."""

import json
import time
from collections.abc import Callable
from typing import Any

from support.agent_tools import conditions
from support.kubectl import Kubectl
from support.operating import Body, items
from support.tool_servers import IndexReplica

TIMEOUT_S = 60
HERE: dict[str, Any] = {"FLAGSCALE_TOOL_LOOPBACK": "true", "elect": False}
"""An operator that asks tools on this machine."""
READY = ("True", "Ready")


def wait(until: Callable[[], bool], told: Callable[[], Any]) -> None:
    """Each look takes as long as kubectl does."""
    deadline = time.monotonic() + TIMEOUT_S
    while not until():
        assert time.monotonic() < deadline, told()


class ToolNamespace:
    """AgentTools of one namespace, and the matcher that has those it is told to."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl = kubectl
        self.namespace = namespace
        self.matcher = IndexReplica()
        self.matcher.report = {"replica": "m-0", "tools": {}}

    def apply(self, body: Body) -> None:
        done = self._kubectl.apply(body, self.namespace)
        assert done.returncode == 0, done.stderr

    def patch(self, name: str, spec: Body) -> None:
        patch = json.dumps({"spec": spec})
        flags = ("-n", self.namespace, "--type=merge", "-p", patch)
        done = self._kubectl("patch", "agenttool", name, *flags)
        assert done.returncode == 0, done.stderr

    def delete(self, kind: str, name: str) -> None:
        done = self._kubectl("delete", kind, name, "-n", self.namespace)
        assert done.returncode == 0, done.stderr

    def get(self, name: str, kind: str = "agenttool") -> Body:
        done = self._kubectl("get", kind, name, "-n", self.namespace, "-o", "json")
        body: Body = json.loads(done.stdout) if done.returncode == 0 else {}
        return body

    def names(self) -> list[str]:
        found = items(self._kubectl, self.namespace, "agenttools")
        return sorted(one["metadata"]["name"] for one in found)

    def index_everything(self) -> None:
        """As a matcher that has caught up."""
        found = [one["metadata"] for one in items(self._kubectl, self.namespace, "agenttools")]
        self.matcher.report["tools"] = {one["uid"]: one["generation"] for one in found}
        self.matcher.etag = json.dumps(str(hash(str(self.matcher.report))))

    def wait_for(
        self, name: str, type_: str, told: tuple[str, str], kind: str = "agenttool"
    ) -> Body:
        wait(
            lambda: conditions(self.get(name, kind)).get(type_) == told,
            lambda: conditions(self.get(name, kind)),
        )
        return self.get(name, kind)

    def wait_for_all(self, type_: str, told: dict[str, tuple[str, str]]) -> None:
        """Until a condition is as told of each AgentTool by its name."""

        def now() -> dict[str, tuple[str, str]]:
            found = items(self._kubectl, self.namespace, "agenttools")
            states = {one["metadata"]["name"]: conditions(one).get(type_) for one in found}
            return {name: state for name, state in states.items() if state and name in told}

        wait(lambda: now() == told, now)

    def events(self) -> set[tuple[str, str]]:
        """Name and reason of all."""
        found = items(self._kubectl, self.namespace, "events")
        return {(one["involvedObject"]["name"], one["reason"]) for one in found}

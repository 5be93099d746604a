"""The operator against a real API server and real tool servers: what tools and sources become."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from support.agent_tools import SPEC, agent_tool, conditions, message, tool_source
from support.kubectl import Kubectl
from support.operating import Body, items, operating
from support.spec_schema import merged
from support.tool_servers import IndexReplica, McpTools, serving, tool

pytestmark = pytest.mark.usefixtures("crds")
TIMEOUT_S = 60
HERE = {"FLAGSCALE_TOOL_LOOPBACK": "true", "elect": False}
READY = ("True", "Ready")


def wait(until: Callable[[], bool], told: Callable[[], Any]) -> None:
    """Each look takes as long as kubectl does."""
    deadline = time.monotonic() + TIMEOUT_S
    while not until():
        assert time.monotonic() < deadline, told()


class Tools:
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

    def events(self, name: str) -> set[str]:
        found = items(self._kubectl, self.namespace, "events")
        return {one["reason"] for one in found if one["involvedObject"]["name"] == name}


@pytest.fixture
def tools(kubectl: Kubectl, namespace: str) -> Tools:
    return Tools(kubectl, namespace)


@pytest.fixture
def matcher(tools: Tools) -> Iterator[str]:
    with serving(tools.matcher.app) as url:
        yield url


async def _moved(request: Request) -> Response:
    return RedirectResponse("http://169.254.169.254/latest/meta-data", status_code=308)


async def _here(request: Request) -> Response:
    return Response(status_code=405)


PAGES = Starlette(
    routes=[
        Route("/moved", _moved, methods=["OPTIONS"]),
        Route("/orders", _here, methods=["OPTIONS"]),
    ]
)


async def test_a_tool_gets_ready_once_it_answers_and_is_indexed(
    tools: Tools, matcher: str, kubeconfig: Path, tmp_path: Path
) -> None:
    settings = {**HERE, "FLAGSCALE_MATCHER_URL": matcher}
    with serving(PAGES) as url:
        async with operating(kubeconfig, tools.namespace, tmp_path / "1", **settings) as first:
            tools.apply(agent_tool({**SPEC, "http": {"url": f"{url}/orders"}}))
            tools.wait_for("tool", "Reachable", ("True", "Answers"))
            tools.wait_for("tool", "Ready", ("False", "NotIndexed"))
            tools.index_everything()
            body = tools.wait_for("tool", "Ready", READY)
            wait(lambda: "Ready" in tools.events("tool"), lambda: tools.events("tool"))
            first.kill()
        async with operating(kubeconfig, tools.namespace, tmp_path / "2", **settings) as second:
            await second.wait_for_reconciles(2)
            wait(lambda: len(tools.matcher.answers) > 3, lambda: tools.matcher.answers)
            assert await second.writes() == 0
    assert tools.get("tool")["status"] == body["status"]
    assert body["status"]["server"] == url.removeprefix("http://")


async def test_the_matcher_counts_calls_beside_the_operator(
    tools: Tools, matcher: str, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    settings = {**HERE, "FLAGSCALE_MATCHER_URL": matcher}
    async with operating(kubeconfig, tools.namespace, tmp_path / "log", **settings):
        tools.apply(agent_tool(SPEC))
        tools.index_everything()
        tools.wait_for("tool", "Ready", READY)
        counted = {**agent_tool(SPEC), "status": {"calls": 7}}
        del counted["spec"]
        flags = ("--server-side", "--subresource=status", "--field-manager=flagscale/matcher")
        done = kubectl.apply(counted, tools.namespace, *flags)
        assert done.returncode == 0, done.stderr
        tools.patch("tool", {"description": "Counts words."})
        tools.wait_for("tool", "Ready", ("False", "NotIndexed"))
        tools.index_everything()
        body = tools.wait_for("tool", "Ready", READY)
    assert body["status"]["calls"] == 7
    assert body["status"]["observedGeneration"] == 2


async def test_bad_tools_are_told_by_condition_and_event(
    tools: Tools, kubeconfig: Path, tmp_path: Path
) -> None:
    with serving(PAGES) as url:
        bad = {
            "schema": {"parameters": {"properties": {"a": {"type": "strin"}}}},
            "hidden": {"parameters": {"properties": {"a": {"description": "b\u202ec"}}}},
            "dead": {"http": {"url": "http://127.0.0.1:1/orders"}},
            "moved": {"http": {"url": f"{url}/moved"}},
            "cloud": {"mcp": {"url": "http://169.254.169.254/mcp"}},
            "inside": {"mcp": {"url": "http://10.0.0.1/mcp"}},
            "unknown": {"mcp": {"url": "http://no-such-host.invalid/mcp"}},
            "cardless": {"agent": {"url": url}},
            "first": {"name": "twin"},
        }
        told = {
            "schema": "InvalidParameters",
            "hidden": "InvalidParameters",
            "dead": "Unreachable",
            "moved": "ForbiddenRedirect",
            "cloud": "ForbiddenAddress",
            "inside": "ForbiddenAddress",
            "unknown": "DoesNotResolve",
            "cardless": "NoAgentCard",
            "first": "NoMatcher",
            "second": "DuplicateName",
        }
        async with operating(kubeconfig, tools.namespace, tmp_path / "log", **HERE):
            for name, spec in bad.items():
                tools.apply(agent_tool({**SPEC, **spec}, name))
            tools.wait_for("first", "Ready", ("False", "NoMatcher"))
            tools.apply(agent_tool({**SPEC, "name": "twin"}, "second"))
            for name, reason in told.items():
                tools.wait_for(name, "Ready", ("False", reason))
                wait(lambda: told[name] in tools.events(name), lambda: tools.events(name))  # noqa: B023
            tools.delete("agenttool", "first")
            tools.wait_for("second", "Accepted", ("True", "Accepted"))
    assert "spec.egress.internalHosts" in message(tools.get("inside"), "Ready")
    assert "hidden character U+202E" in message(tools.get("hidden"), "Ready")


async def test_a_source_follows_its_server(
    tools: Tools, matcher: str, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    server = McpTools([tool("read_file", path={}), tool("find"), tool("evil", "a\x07b")])
    settings = {**HERE, "FLAGSCALE_MATCHER_URL": matcher}
    with serving(server.app) as url:
        async with operating(kubeconfig, tools.namespace, tmp_path / "log", **settings) as operator:
            spec = {"mcp": {"url": f"{url}/mcp"}, "resyncSeconds": 10}
            tools.apply(tool_source(spec, "files"))
            body = tools.wait_for("files", "Ready", ("True", "Synced"), "agenttoolsource")
            assert conditions(body)["Degraded"] == ("True", "ToolsSkipped")
            assert body["status"]["tools"] == 2
            assert tools.names() == ["files-find", "files-read-file"]
            tools.index_everything()
            tools.wait_for("files-read-file", "Ready", READY)
            tools.wait_for("files-find", "Ready", READY)
            before = await operator.writes()
            lists = server.lists
            wait(lambda: server.lists > lists, lambda: server.lists)
            assert await operator.writes() == before

            server.tools = [
                tool("read_file", "Sends files away.", path={}),
                tool("new"),
            ]
            wait(lambda: tools.names() == ["files-new", "files-read-file"], tools.names)
            drifted = tools.wait_for("files-read-file", "SchemaDrifted", ("True", "Changed"))
            assert conditions(drifted)["Ready"] == ("False", "SchemaDrifted")
            wait(
                lambda: "SchemaDrifted" in tools.events("files-read-file"),
                lambda: tools.events("files-read-file"),
            )

            digest = drifted["status"]["schemaDigest"]
            tools.patch("files-read-file", {"approvedSchemaDigest": digest})
            tools.wait_for("files-read-file", "SchemaDrifted", ("False", "Approved"))
            lists = server.lists
            wait(lambda: server.lists > lists, lambda: server.lists)
            stored = tools.get("files-read-file")
            assert stored["spec"]["approvedSchemaDigest"] == digest
            assert stored["status"]["pinnedDigest"] == digest

            tools.delete("agenttoolsource", "files")
            wait(lambda: tools.names() == [], tools.names)


async def test_a_source_that_fails_keeps_what_it_had(
    tools: Tools, kubeconfig: Path, tmp_path: Path
) -> None:
    server = McpTools([tool("find")])
    async with operating(kubeconfig, tools.namespace, tmp_path / "log", **HERE):
        with serving(server.app) as url:
            tools.apply(tool_source({"mcp": {"url": f"{url}/mcp"}, "resyncSeconds": 10}, "files"))
            tools.wait_for("files", "Ready", ("True", "Synced"), "agenttoolsource")
        tools.wait_for("files", "Ready", ("False", "Unreachable"), "agenttoolsource")
        assert tools.names() == ["files-find"]
        port = int(url.rpartition(":")[2])
        with serving(server.app, port=port):
            tools.wait_for("files", "Ready", ("True", "Synced"), "agenttoolsource")


async def test_a_source_reads_documents_and_leaves_foreign_tools_alone(
    tools: Tools, kubeconfig: Path, tmp_path: Path
) -> None:
    api = """
    openapi: 3.1.0
    info: {title: Shop, version: "2"}
    servers: [{url: "https://shop.example.org/v1"}]
    paths:
      /orders/{id}:
        get:
          operationId: get_order
          parameters: [{name: id, in: path, required: true, schema: {type: string}}]
          responses: {}
        delete:
          operationId: drop_order
          parameters: [{name: id, in: path, required: true, schema: {type: string}}]
          responses: {}
    """
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "api"}}
    tools.apply({**document, "data": {"openapi.yaml": api}})
    tools.apply(agent_tool(SPEC, "shop-drop-order"))
    reference = {"configMapKeyRef": {"name": "api", "key": "openapi.yaml"}}
    async with operating(kubeconfig, tools.namespace, tmp_path / "log", **HERE):
        tools.apply(tool_source({"openApi": reference, "category": "shop"}, "shop"))
        body = tools.wait_for("shop", "Degraded", ("True", "ToolsSkipped"), "agenttoolsource")
    assert "AgentTool shop-drop-order exists and is not of this source" in message(body, "Degraded")
    assert tools.get("shop-drop-order")["spec"]["description"] == SPEC["description"]
    made = tools.get("shop-get-order")["spec"]
    assert (made["category"], made["server"], made["idempotent"]) == ("shop", "shop", True)
    assert made["http"]["url"] == "https://shop.example.org/v1/orders/{id}"
    assert made["parameters"]["required"] == ["id"]


async def test_a_source_sends_its_credential(
    tools: Tools, kubeconfig: Path, tmp_path: Path
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    auth = {"secretKeyRef": {"name": "s", "key": "token"}}
    with serving(McpTools([tool("find")], token="sesame").app) as url:
        spec = {"mcp": {"url": f"{url}/mcp"}, "resyncSeconds": 10}
        async with operating(kubeconfig, tools.namespace, tmp_path / "log", **HERE):
            tools.apply(tool_source(spec, "files"))
            tools.wait_for("files", "Ready", ("False", "Unauthorized"), "agenttoolsource")
            tools.apply(tool_source(merged(spec, {"auth": auth}), "files"))
            tools.wait_for("files", "Ready", ("False", "SecretNotFound"), "agenttoolsource")
            tools.apply({**secret, "stringData": {"token": "sesame"}})
            tools.wait_for("files", "Ready", ("True", "Synced"), "agenttoolsource")
    assert tools.get("files-find")["spec"]["auth"]["secretKeyRef"] == auth["secretKeyRef"]

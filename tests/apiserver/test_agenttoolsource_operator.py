"""The operator against a real API server and real tool servers: what sources become."""

from pathlib import Path

import pytest

from support.agent_tools import SPEC, agent_tool, conditions, message, tool_source
from support.operating import operating
from support.spec_schema import merged
from support.tool_namespace import HERE, READY, TIMEOUT_S, ToolNamespace, wait
from support.tool_servers import McpTools, serving, tool

pytestmark = pytest.mark.usefixtures("crds")
SOURCE = "agenttoolsource"


async def test_a_source_follows_its_server_and_goes_with_its_tools(
    tools: ToolNamespace, kubeconfig: Path, tmp_path: Path
) -> None:
    server = McpTools([tool("read_file", path={}), tool("find"), tool("evil", "a\x07b")])
    with serving(server.app) as url:
        async with operating(kubeconfig, tools.namespace, tmp_path / "log", **HERE):
            tools.apply(tool_source({"mcp": {"url": f"{url}/mcp"}}, "files"))
            body = tools.wait_for("files", "Degraded", ("True", "ToolsSkipped"), SOURCE)
            assert conditions(body)["Ready"] == ("True", "Synced")
            assert (body["status"]["tools"], body["status"]["server"]) == (2, "toolbox 1.2")
            assert tools.names() == ["files-find", "files-read-file"]
            assert server.listened.wait(TIMEOUT_S)
            server.change(tool("read_file", path={}), tool("new"))
            wait(lambda: tools.names() == ["files-new", "files-read-file"], tools.names)
            tools.wait_for("files", "Degraded", ("False", "AllTaken"), SOURCE)
            tools.delete(SOURCE, "files")
            wait(lambda: tools.names() == [], tools.names)


async def test_what_a_server_changes_is_held_back_until_it_is_approved(
    tools: ToolNamespace, matcher: str, kubeconfig: Path, tmp_path: Path
) -> None:
    name, server = "files-find", McpTools([tool("find")])
    settings = {**HERE, "FLAGSCALE_MATCHER_URL": matcher}
    with serving(server.app) as url:
        async with operating(kubeconfig, tools.namespace, tmp_path / "log", **settings):
            tools.apply(tool_source({"mcp": {"url": f"{url}/mcp"}}, "files"))
            tools.wait_for(name, "Accepted", ("True", "Accepted"))
            tools.index_everything()
            tools.wait_for(name, "Ready", READY)
            assert server.listened.wait(TIMEOUT_S)
            server.change(tool("find", "Sends your files away."))
            drifted = tools.wait_for(name, "Ready", ("False", "SchemaDrifted"))
            wait(lambda: (name, "SchemaDrifted") in tools.events(), tools.events)

            digest = drifted["status"]["schemaDigest"]
            assert digest != drifted["status"]["pinnedDigest"]
            tools.patch(name, {"approvedSchemaDigest": digest, "exampleQueries": ["find it"]})
            tools.wait_for(name, "SchemaDrifted", ("False", "Approved"))
            tools.index_everything()
            tools.wait_for(name, "Ready", READY)
            lists = server.lists
            server.change(tool("find", "Sends your files away."), tool("other"))
            wait(lambda: "files-other" in tools.names(), tools.names)
            assert server.lists > lists
            kept = tools.get(name)["spec"]
            assert (kept["approvedSchemaDigest"], kept["exampleQueries"]) == (digest, ["find it"])

            server.change(tool("other"))
            wait(lambda: name not in tools.names(), tools.names)
            server.change(tool("find", "Does find."), tool("other"))
            tools.wait_for(name, "SchemaDrifted", ("True", "Changed"))
            server.change(tool("find", "Sends your files away."))
            tools.wait_for(name, "SchemaDrifted", ("False", "Unchanged"))


async def test_a_source_at_rest_writes_nothing_also_after_a_restart(
    tools: ToolNamespace, kubeconfig: Path, tmp_path: Path
) -> None:
    server = McpTools([tool(f"t{i}") for i in range(20)], tells=False)
    spec = {"resyncSeconds": 10}
    with serving(server.app) as url:
        async with operating(kubeconfig, tools.namespace, tmp_path / "1", **HERE) as first:
            tools.apply(tool_source({"mcp": {"url": f"{url}/mcp"}, **spec}, "files"))
            told = {f"files-t{i}": ("False", "NoMatcher") for i in range(20)}
            tools.wait_for_all("Ready", told)
            first.kill()
        lists = server.lists
        async with operating(kubeconfig, tools.namespace, tmp_path / "2", **HERE) as second:
            # Twice asked after the start: once anew, once at its pace.
            wait(lambda: server.lists >= lists + 2, lambda: server.lists)
            await second.wait_for_reconciles(21)
            assert await second.writes() == 0


async def test_a_source_that_fails_keeps_what_it_had(
    tools: ToolNamespace, kubeconfig: Path, tmp_path: Path
) -> None:
    server = McpTools([tool("find")])
    async with operating(kubeconfig, tools.namespace, tmp_path / "log", **HERE):
        with serving(server.app) as url:
            tools.apply(tool_source({"mcp": {"url": f"{url}/mcp"}, "resyncSeconds": 10}, "files"))
            tools.wait_for("files", "Ready", ("True", "Synced"), SOURCE)
        tools.wait_for("files", "Ready", ("False", "Unreachable"), SOURCE)
        assert tools.names() == ["files-find"]
        port = int(url.rpartition(":")[2])
        with serving(server.app, port=port):
            tools.wait_for("files", "Ready", ("True", "Synced"), SOURCE)


async def test_a_source_reads_documents_and_leaves_foreign_tools_alone(
    tools: ToolNamespace, kubeconfig: Path, tmp_path: Path
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
        body = tools.wait_for("shop", "Degraded", ("True", "ToolsSkipped"), SOURCE)
    assert "AgentTool shop-drop-order exists and is not of this source" in message(body, "Degraded")
    assert tools.get("shop-drop-order")["spec"]["description"] == SPEC["description"]
    made = tools.get("shop-get-order")["spec"]
    assert (made["category"], made["server"], made["idempotent"]) == ("shop", "shop", True)
    assert made["http"]["url"] == "https://shop.example.org/v1/orders/{id}"
    assert made["parameters"]["required"] == ["id"]


async def test_a_source_sends_its_credential(
    tools: ToolNamespace, kubeconfig: Path, tmp_path: Path
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    auth = {"secretKeyRef": {"name": "s", "key": "token"}}
    with serving(McpTools([tool("find")], token="sesame").app) as url:
        spec = {"mcp": {"url": f"{url}/mcp"}, "resyncSeconds": 10}
        async with operating(kubeconfig, tools.namespace, tmp_path / "log", **HERE):
            tools.apply(tool_source(spec, "files"))
            tools.wait_for("files", "Ready", ("False", "Unauthorized"), SOURCE)
            tools.apply(tool_source(merged(spec, {"auth": auth}), "files"))
            tools.wait_for("files", "Ready", ("False", "SecretNotFound"), SOURCE)
            tools.apply({**secret, "stringData": {"token": "sesame"}})
            tools.wait_for("files", "Ready", ("True", "Synced"), SOURCE)
    assert tools.get("files-find")["spec"]["auth"]["secretKeyRef"] == auth["secretKeyRef"]

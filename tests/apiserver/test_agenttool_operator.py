"""The operator against a real API server and real tool servers: what tools become."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from support.agent_tools import SPEC, agent_tool, message
from support.kubectl import Kubectl
from support.operating import operating
from support.tool_namespace import HERE, READY, ToolNamespace, wait
from support.tool_servers import serving

pytestmark = pytest.mark.usefixtures("crds")


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
    tools: ToolNamespace, matcher: str, kubeconfig: Path, tmp_path: Path
) -> None:
    settings = {**HERE, "FLAGSCALE_MATCHER_URL": matcher}
    with serving(PAGES) as url:
        async with operating(kubeconfig, tools.namespace, tmp_path / "1", **settings) as first:
            tools.apply(agent_tool({**SPEC, "http": {"url": f"{url}/orders"}}))
            tools.wait_for("tool", "Reachable", ("True", "Answers"))
            tools.wait_for("tool", "Ready", ("False", "NotIndexed"))
            tools.index_everything()
            body = tools.wait_for("tool", "Ready", READY)
            wait(lambda: ("tool", "Ready") in tools.events(), tools.events)
            first.kill()
        async with operating(kubeconfig, tools.namespace, tmp_path / "2", **settings) as second:
            await second.wait_for_reconciles(2)
            wait(lambda: len(tools.matcher.answers) > 3, lambda: tools.matcher.answers)
            assert await second.writes() == 0
    assert tools.get("tool")["status"] == body["status"]
    assert body["status"]["server"] == url.removeprefix("http://")


async def test_the_matcher_counts_calls_beside_the_operator(
    tools: ToolNamespace, matcher: str, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
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
    tools: ToolNamespace, kubeconfig: Path, tmp_path: Path
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
            tools.wait_for_all("Ready", {name: ("False", why) for name, why in told.items()})
            wait(lambda: told.items() <= tools.events(), tools.events)
            tools.delete("agenttool", "first")
            tools.wait_for("second", "Accepted", ("True", "Accepted"))
    assert "spec.egress.internalHosts" in message(tools.get("inside"), "Ready")
    assert "hidden character U+202E" in message(tools.get("hidden"), "Ready")

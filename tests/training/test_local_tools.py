"""AgentTools and their sources on this machine: a real MCP server, with a token."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flagscale_runner.base import Manifest, Target, phase_of
from flagscale_runner.local.runner import LocalRunner
from flagscale_runner.talk.tools_file import ready_tools
from flagscale_workloads.agent import ToolMatcher
from support.engine_process import free_port, wait_until

TESTS = Path(__file__).parents[1]
SOURCE = Target("AgentToolSource", "default", "arithmetic")
TOOL = Target("AgentTool", "default", "add")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[LocalRunner]:
    found = LocalRunner.of({**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home")})
    yield found
    for target in (SOURCE, TOOL):
        if found.status(target):
            found.stop(target)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    words = ("uvicorn", "--factory", "support.loopback_tools:mcp_tool", f"--port={port}")
    with (tmp_path / "server.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", *words],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stderr=log,
        )
    try:
        said = tmp_path / "server.log"
        wait_until(lambda: "running on" in said.read_text(), timeout_s=60, what="the server")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        running.kill()
        running.wait(10)


def resource(target: Target, **spec: Any) -> Manifest:
    return {"apiVersion": "flagscale.dev/v1alpha1", "kind": target.kind,
            "metadata": {"name": target.name}, "spec": spec}  # fmt: skip


def names(runner: LocalRunner) -> list[str]:
    return [body["metadata"]["name"] for body in runner.resources("AgentTool")]


def test_a_source_makes_tools_that_are_matched_and_end_with_it(
    runner: LocalRunner, server: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("token=t\n")
    runner.use_secret("default", "arithmetic", tmp_path / "secret")
    auth = {"secretKeyRef": {"name": "arithmetic", "key": "token"}}

    runner.submit(resource(SOURCE, mcp={"url": server}, auth=auth))
    source = runner.wait(SOURCE, lambda _: None)

    assert (phase_of(source), source["status"]["tools"]) == ("Ready", 3)
    assert len(names(runner)) == 3
    for name in names(runner):
        runner.wait(Target("AgentTool", "default", name), lambda _: None)
    (hit,) = ToolMatcher(ready_tools(runner, None)).match_tools("the sum of 3 and 4", k=1).hits
    assert hit.tool.name == "add"
    runner.stop(SOURCE)
    wait_until(lambda: names(runner) == [], timeout_s=30, what="the end of its tools")


def test_a_tool_is_ready_once_its_server_is_there(runner: LocalRunner, server: str) -> None:
    def told(url: str) -> str:
        runner.submit(resource(TOOL, description="Add.", mcp={"url": url, "tool": "add"}))
        return str(runner.wait(TOOL, lambda _: None)["status"]["conditions"][0]["reason"])

    assert told("http://127.0.0.1:1/mcp") == "Unreachable"
    assert told(server) == "Ready"

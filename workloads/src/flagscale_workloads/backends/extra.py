"""`engine.extraArgs`: checked against the engine's own parser, then written for it."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from flagscale_workloads.backends.arguments import Argument, ArgumentTable, plain
from flagscale_workloads.backends.errors import EngineConfigError

Value: TypeAlias = str | int | float | bool


def check_extra(
    extra: Mapping[str, Value], *, table: ArgumentTable, reserved: Mapping[str, str]
) -> None:
    """Raise EngineConfigError for an unknown name, a wrong value or one that we set ourselves.

    `reserved` maps a destination of the parser to what to do instead, in words.
    """
    seen: dict[str, str] = {}
    for key, value in extra.items():
        argument = table.find(key)
        if argument is None:
            raise _error(key, "unknown argument", key, _suggestion(key, table))
        name = argument.destination
        if name in reserved:
            raise _error(key, "set elsewhere", value, reserved[name])
        if name in seen:
            raise _error(key, f"the same argument as {seen[name]}", value, "remove one of them")
        seen[name] = key
        _check_value(key, value, argument)


def extra_arguments(extra: Mapping[str, Value], *, table: ArgumentTable) -> tuple[str, ...]:
    """The command-line words for extra arguments that `check_extra` has let pass."""
    found = ((table.find(key), value) for key, value in extra.items())
    return tuple(word for argument, value in found if argument for word in _words(argument, value))


def _words(argument: Argument, value: Value) -> Iterable[str]:
    option = argument.options[0]
    match argument.type:
        case "flag":
            # Absent is the only way to say no.
            return (option,) if value else ()
        case "toggle":
            return (option,) if value else (f"--no-{plain(option)}",)
    if argument.many:
        return (option, *str(value).split())
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    # One word, because a value may begin with a dash.
    return (f"{option}={text}",)


def _check_value(key: str, value: Value, argument: Argument) -> None:
    match argument.type:
        case "flag" | "toggle" | "bool":
            fits, wanted = isinstance(value, bool), "true or false"
        case "int":
            fits, wanted = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        case "float":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            wanted = "a number"
        case "json":
            fits, wanted = _is_json(value), "JSON"
        case _:
            fits, wanted = not isinstance(value, bool), "text"
    # Lists are written as text: "1 2 4".
    if not fits and not (argument.many and isinstance(value, str)):
        raise _error(key, "wrong type", value, f"write {wanted}")
    if argument.choices and not set(str(value).split()) <= set(argument.choices):
        allowed = ", ".join(argument.choices)
        raise _error(key, "not a choice of the engine", value, f"take one of {allowed}")


def _is_json(value: Value) -> bool:
    if not isinstance(value, str):
        return True
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def _suggestion(key: str, table: ArgumentTable) -> str:
    close = difflib.get_close_matches(plain(key), table.names(), n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if table.arguments:
        return f"see the arguments of {table.engine} {table.version}"
    return f"{table.engine} takes no further arguments; remove it"


def _error(key: str, wrong: str, value: object, remedy: str) -> EngineConfigError:
    return EngineConfigError(f"engine.extraArgs.{key}: {wrong}, got {value}; {remedy}")

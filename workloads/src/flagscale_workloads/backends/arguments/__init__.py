"""What each engine's own parser accepts: snapshots, so that checking needs no engine installed.

A snapshot is written by `python -m flagscale_workloads.backends.arguments ENGINE --python PYTHON`
and compared with the really installed engine by the tests.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, Literal

ArgumentType = Literal["str", "int", "float", "bool", "flag", "toggle", "json"]
"""bool takes `true` or `false`; flag takes nothing; toggle has a `--no-` form; json: parsed."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an engine's parser."""

    destination: str
    options: tuple[str, ...]
    """All spellings, dashes in front included, the preferred one first."""
    type: ArgumentType
    many: bool = False
    """Takes several values, separated by spaces."""
    choices: tuple[str, ...] = ()
    default: object = None


@dataclass(frozen=True, slots=True)
class ArgumentTable:
    """The arguments of one version of an engine."""

    engine: str
    version: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    """By destination."""

    def find(self, key: str) -> Argument | None:
        """The argument with this name, by any of its spellings; `_` and `-` are the same."""
        wanted = plain(key)
        found = (a for a in self.arguments.values() if wanted in map(plain, a.options))
        return next(found, None)

    def names(self) -> tuple[str, ...]:
        """Every preferred spelling without its dashes."""
        return tuple(sorted(plain(a.options[0]) for a in self.arguments.values()))


NO_ARGUMENTS: Final = ArgumentTable("engine", "")


def plain(option: str) -> str:
    """An option's name without leading dashes, with dashes inside."""
    return option.lstrip("-").replace("_", "-")


def read_table(engine: str) -> ArgumentTable:
    """The snapshot of an engine's parser, from this package."""
    text = (files(__name__) / f"{engine}.json").read_text(encoding="utf-8")
    return parse_table(json.loads(text))


def parse_table(data: Mapping[str, Any]) -> ArgumentTable:
    """A snapshot's JSON as a table."""
    arguments = {
        name: Argument(
            destination=name,
            options=tuple(entry["options"]),
            type=entry["type"],
            many=entry.get("many", False),
            choices=tuple(entry.get("choices", ())),
            default=entry.get("default"),
        )
        for name, entry in data["arguments"].items()
    }
    return ArgumentTable(data["engine"], data["version"], arguments)

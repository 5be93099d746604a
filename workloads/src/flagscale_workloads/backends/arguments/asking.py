"""Asks the parser of an installed engine, in a process of the engine's own environment."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flagscale_workloads.backends.errors import EngineConfigError

SCRIPT = Path(__file__).with_name("engine_parser.py")


def installed_arguments(engine: str, *, python: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """A snapshot of the installed engine's parser; EngineConfigError when it can't be loaded."""
    snapshot: dict[str, Any] = json.loads(_ask(engine, python=python, env=env))
    return snapshot


def parsed(
    engine: str, lines: Sequence[Sequence[str]], *, python: Path, env: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What the installed engine's parser makes of each command line: values or an error."""
    text = json.dumps([list(line) for line in lines])
    answers: list[dict[str, Any]] = json.loads(
        _ask(engine, "--parse", python=python, env=env, text=text)
    )
    return answers


def _ask(
    engine: str, *flags: str, python: Path, env: Mapping[str, str], text: str | None = None
) -> str:
    done = subprocess.run(
        [str(python), str(SCRIPT), engine, *flags],
        input=text,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = " ".join(done.stderr.strip().splitlines()[-3:])
        raise EngineConfigError(
            f"engine: {engine} can't be loaded, got {last}; "
            f"install it into the environment of {python}"
        )
    return done.stdout

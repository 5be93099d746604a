"""What docs/runner.md tells people to type works as it stands there."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.demo.target import ROOT
from support.training_run import text

DOC = (ROOT / "docs" / "runner.md").read_text()


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A folder with what the page begins with, and the environment to work there."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "corpus.txt").write_text(text())
    for name in ("tiny.yaml", "tools.yaml"):
        (tmp_path / name).write_text(block(f"yaml {re.escape(name)}"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home"), "PATH": path}


def typed(command: list[str], folder: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def test_the_commands_and_the_program_of_the_page_work(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    lines = block("sh local").splitlines()
    said = {line: typed(shlex.split(line), tmp_path, environ) for line in lines}

    assert said["flagscale validate tiny.yaml"] == "tiny.yaml: valid\n"
    assert "Succeeded" in said["flagscale status"]
    assert "attempt 1" in said["flagscale status trainjob/tiny"]
    service = json.loads(said["flagscale status isvc/tiny --output json"])
    assert service["status"]["phase"] == "Ready"
    assert "[tiny-a1-worker-0]" in said["flagscale logs trainjob/tiny"]
    assert "next: nothing" in said["flagscale explain isvc/tiny"]
    assert "get-weather" in said[lines[9]].splitlines()[1]
    assert (tmp_path / "data" / "tiny" / "model" / "config.json").exists()

    program = typed([sys.executable, "-c", block("python")], tmp_path, environ)
    assert program == "Succeeded 100\nits model is in status.artifact\n"

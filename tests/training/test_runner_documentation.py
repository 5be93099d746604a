"""What docs/runner.md tells people to type works as it stands there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from support.demo.target import ROOT
from support.training_run import text

DOC = (ROOT / "docs" / "runner.md").read_text()


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "corpus.txt").write_text(text())
    (tmp_path / "tiny.yaml").write_text(block(r"yaml tiny\.yaml"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home"), "PATH": path}
    said = {}
    for line in block("sh local").splitlines():
        done = subprocess.run(
            line.split(), cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said[line] = done.stdout

    assert said["flagscale validate tiny.yaml"] == "tiny.yaml: valid\n"
    assert "Succeeded" in said["flagscale status"]
    assert "attempt 1" in said["flagscale status tiny"]
    assert json.loads(said["flagscale status tiny --output json"])["status"]["phase"] == "Succeeded"
    assert "[tiny-a1-worker-0]" in said["flagscale logs tiny"]
    assert (tmp_path / "data" / "tiny" / "model" / "config.json").exists()

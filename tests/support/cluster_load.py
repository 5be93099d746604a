"""Open-loop load from within the cluster: `support.load` run in a pod, its records brought back."""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support import load as driver
from support.load import Load, Record
from support.workspace import Workspace, restricted_pod

NAME = "loader"
MAIN = """
if __name__ == "__main__":
    import sys
    from dataclasses import asdict
    told = json.loads(sys.argv[2])
    records = asyncio.run(drive(sys.argv[1], Load(**told)))
    print(json.dumps([asdict(record) for record in records]))
"""


def create_loader(workspace: Workspace) -> None:
    """A pod that drives load, kept until the namespace goes."""
    stay = ["python3", "-c", "import signal; signal.pause()"]
    workspace.apply(restricted_pod(NAME, workspace.images["llamacpp"], stay))
    workspace.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=120s")


class ClusterLoad:
    """A load that runs while the test goes on; `records` waits for all answers."""

    def __init__(self, workspace: Workspace, base_url: str, load: Load) -> None:
        program = str(Path(sys.executable).parent / "kubectl")
        target = ["--kubeconfig", str(workspace.target.kubeconfig), "-n", workspace.namespace]
        source = Path(driver.__file__).read_text() + MAIN
        code = [NAME, "--", "python3", "-c", source, base_url, json.dumps(asdict(load))]
        self._timeout_s = load.duration_s + load.timeout_s + 60
        self._process = subprocess.Popen(
            [program, *target, "exec", *code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._told: tuple[str, str] = ("", "")
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        self._told = self._process.communicate()

    def stop(self) -> None:
        """End it early; requests that run are cut off."""
        self._process.kill()

    def records(self) -> list[Record]:
        """One record per request, in order."""
        self._thread.join(self._timeout_s)
        out, words = self._told
        assert self._process.poll() == 0, words[-2000:]
        return [Record(**entry) for entry in json.loads(out)]


def lost(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Every request that was not answered in full."""
    return [asdict(record) for record in records if record.ending != "done"]

"""Everything that was there at any time while something happened."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.workspace import Workspace


@contextmanager
def names_seen(workspace: Workspace, kind: str, selector: str) -> Iterator[set[str]]:
    """`kind/name` of all objects that exist, or come to be, until the block ends."""
    program = str(Path(sys.executable).parent / "kubectl")
    target = ["--kubeconfig", str(workspace.target.kubeconfig), "-n", workspace.namespace]
    seen = set(workspace.kubectl("get", kind, "-l", selector, "-o", "name").split())
    watch = subprocess.Popen(
        [program, *target, "get", kind, "-l", selector, "-o", "name", "--watch"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    reader = threading.Thread(target=_collect, args=(watch, seen), daemon=True)
    with watch:
        reader.start()
        try:
            yield seen
        finally:
            watch.kill()
            reader.join()


def _collect(watch: "subprocess.Popen[str]", seen: set[str]) -> None:
    assert watch.stdout is not None
    for line in watch.stdout:
        seen.add(line.strip())

"""Where the time from `kubectl apply` to the first answer goes: Kubernetes', Ray's, the engine's.

Pods are watched (their own times are whole seconds), and the serving program tells in its log how
long its engine took until it was healthy, and then for a first token.
"""

import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from support.workspace import Workspace

PHASES: Final = ("create", "schedule", "image", "start", "load", "first_token", "tell")
_FIELDS: Final = (
    '{.metadata.name}|{.status.conditions[?(@.status=="True")].type}'
    '|{.status.containerStatuses[?(@.name=="%s")].state.running.startedAt}{"\\n"}'
)
_READY: Final = re.compile(
    r"^(\S+) .*: ready after ([0-9.]+) s, of which its first token took ([0-9.]+) s$", re.MULTILINE
)


def phases(marks: Mapping[str, float], log: str, *, answered: float) -> dict[str, float]:
    """Seconds of each phase in turn; together they are all the time from `applied` to `answered`.

    `marks` are moments in seconds: applied, created, scheduled, running; `log` is what `kubectl
    logs --timestamps` says of the engine pod. Raises ValueError when the log tells of no token.

    create: until the engine's pod is there; schedule: until it has a node; image: volumes, network,
    image and, on Ray, the head's start, until its container runs; start: Python and, on Ray, the
    worker and Serve, until the engine is started; load: until it is healthy; first_token; tell:
    probes, status and the client.
    """
    found = _READY.search(log)
    if found is None:
        raise ValueError(f"log: no first token, got {log[-500:]!r}; is it the engine's pod?")
    token = datetime.fromisoformat(found[1]).timestamp()
    engine_s, first_token_s = float(found[2]), float(found[3])
    moments = (
        marks["applied"], marks["created"], marks["scheduled"], marks["running"],
        token - engine_s, token - first_token_s, token, answered,
    )  # fmt: skip
    lasted = (after - before for before, after in itertools.pairwise(moments))
    return dict(zip(PHASES, lasted, strict=True))


class PodWatch:
    """The first engine pod of a service from before it exists; `marks` are the moments."""

    def __init__(self, workspace: Workspace, service: str, container: str) -> None:
        self.marks: dict[str, float] = {}
        self.pod = ""
        selector = f"flagscale.dev/inferenceservice={service},app.kubernetes.io/component=engine"
        output = f"jsonpath={_FIELDS % container}"
        program = str(Path(sys.executable).parent / "kubectl")
        target = ["--kubeconfig", str(workspace.target.kubeconfig), "-n", workspace.namespace]
        self._command = [program, *target, "get", "pods", "-l", selector, "-w", "-o", output]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._thread.join()
        self._process.communicate()

    def applied(self) -> None:
        """The service is about to be applied."""
        self._mark("applied", holds=True)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, conditions, started = line.rstrip("\n").split("|")
            self.pod = self.pod or name
            if name == self.pod:
                self._mark("created", holds=True)
                self._mark("scheduled", holds="PodScheduled" in conditions.split())
                self._mark("running", holds=bool(started))

    def _mark(self, name: str, *, holds: bool) -> None:
        if holds and name not in self.marks:
            self.marks[name] = time.time()


def told(took: Mapping[str, Any]) -> str:
    """One line of phases."""
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in took.items())

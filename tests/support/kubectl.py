"""kubectl of the project's environment, for one cluster."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.install import kubectl_path

TIMEOUT_S = 60


@dataclass(frozen=True)
class Kubectl:
    """Callable: runs kubectl and gives back what it said, refusals included."""

    kubeconfig: Path

    def __call__(
        self, *arguments: str, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [str(kubectl_path()), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(
            command, input=text, text=True, capture_output=True, timeout=TIMEOUT_S
        )

    def apply(
        self, manifest: dict[str, Any], namespace: str, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """`kubectl apply -f -` in a namespace."""
        return self("apply", "-n", namespace, "-f", "-", *arguments, text=json.dumps(manifest))

"""helm, without the settings of the person who runs it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from support.cluster import builds
from support.cluster.paths import folders
from support.cluster.recipes import program_path

CHARTS = Path(__file__).resolve().parents[2] / "charts"
KUBE_VERSION = "1.34.0"
NAMESPACE = "flagscale-system"


@dataclass(frozen=True)
class Helm:
    """Callable: runs helm and gives back what it said, refusals included."""

    program: Path
    home: Path
    kubeconfig: Path | None = None

    @classmethod
    def built(cls, home: Path, kubeconfig: Path | None = None) -> Self:
        """The project's helm, built if it is not there; without kubeconfig it has no cluster."""
        cache = folders(os.environ).cache
        builds.ensure(cache, ["helm"])
        return cls(program_path(cache, "helm"), home, kubeconfig)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **own, "KUBECONFIG": str(self.kubeconfig or os.devnull)}
        command = [str(self.program), *arguments]
        return subprocess.run(command, text=True, capture_output=True, env=environment)

    def template(self, chart: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`helm template` of one of our charts, for a release of its name."""
        flags = ("--namespace", NAMESPACE, "--kube-version", KUBE_VERSION)
        return self("template", chart, str(CHARTS / chart), *flags, *arguments)

    def objects(self, chart: str, *arguments: str) -> list[dict[str, Any]]:
        """What the chart makes."""
        done = self.template(chart, *arguments)
        assert done.returncode == 0, done.stderr
        return [d for d in yaml.safe_load_all(done.stdout) if d]

"""The cluster that the demo and the e2e tests work on, and the programs to reach it with."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cluster import builds, current
from support.cluster.choice import choose
from support.cluster.machine import this_machine
from support.cluster.paths import folders
from support.cluster.recipes import program_path

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 900
"""More than anything here takes: a program that hangs must not hang all tests with it."""
SAMPLES = ROOT / "crds" / "samples"


@dataclass(frozen=True)
class Target:
    """A cluster that is up."""

    kubeconfig: Path
    helm_path: Path

    def kubectl(
        self, *arguments: str, text: str | None = None, check: bool = True, quiet: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; with `check` a refusal raises RuntimeError with its words."""
        program = str(Path(sys.executable).parent / "kubectl")
        return self._run([program, *arguments], text=text, check=check, quiet=quiet)

    def helm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run helm."""
        return self._run([str(self.helm_path), *arguments], text=None, check=check, quiet=True)

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get ... -o json`."""
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)
        return answer

    def _run(
        self, command: list[str], *, text: str | None, check: bool, quiet: bool
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            input=text,
            text=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if not quiet:
            print(done.stdout, end="", flush=True)
        if check and done.returncode:
            words = done.stderr.strip() or done.stdout.strip()
            msg = f"{' '.join([Path(command[0]).name, *command[1:]])}: {words}"
            raise RuntimeError(msg)
        return done


def find_target() -> Target:
    """The cluster that `make cluster-up` chose (it must be up)."""
    where = folders(os.environ)
    backend = choose(this_machine(), os.environ.get("CLUSTER") or None)
    kubeconfig = where.kubeconfig if backend == "native" else current.kubeconfig()
    builds.ensure(where.cache, ["helm"])
    return Target(kubeconfig, program_path(where.cache, "helm"))


def build_images(*roles: str) -> dict[str, str]:
    """Build and load images; their references by role."""
    command = [sys.executable, "-m", "support.images", "load", *roles]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.returncode)
    return dict(zip(roles, done.stdout.split(), strict=True))

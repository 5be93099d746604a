"""One virtual environment per engine, keyed by the content of its lock."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.cluster.commands import run_logged
from support.cluster.locks import locked
from support.cluster.paths import folders
from support.cluster.progress import timed
from support.images.roles import content_key

from .wheel import LLAMA, llama_wheel

ENGINES: Final = ("vllm", "sglang", "llamacpp")
ROOT: Final = Path(__file__).resolve().parents[3]
# A virtual environment knows its own path, so it can't be built elsewhere and renamed: this file,
# written last, says that it is whole.
READY: Final = ".flagscale-ready"


@dataclass(frozen=True)
class Environment:
    """Where an engine's environment lies."""

    engine: str
    project: Path
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether it is complete."""
        return (self.folder / READY).exists()


def environment(engine: str, *, root: Path, cache: Path) -> Environment:
    """The environment of an engine: a changed lock or Python makes another one."""
    project = root / "images" / "engines" / engine
    parts = [(name, (project / name).read_bytes()) for name in ("pyproject.toml", "uv.lock")]
    key = content_key([*parts, ("python", sys.version.encode())])
    return Environment(engine, project, cache / "engines" / f"{engine}-{key}")


def engine_python(engine: str) -> Path:
    """The interpreter of an engine's environment, built now if need be.

    Raises ClusterError with the end of the log when the build fails.
    """
    cache = folders(os.environ).cache
    wanted = environment(engine, root=ROOT, cache=cache)
    if not wanted.ready:
        with locked(cache / "locks" / f"engine-{engine}", f"installing {engine}"):
            if not wanted.ready:
                _build(wanted, cache)
    return wanted.python


def _build(wanted: Environment, cache: Path) -> None:
    with timed(f"installing {wanted.engine} into {wanted.folder}"):
        shutil.rmtree(wanted.folder, ignore_errors=True)
        log = cache / "logs" / f"engine-{wanted.engine}.log"
        if wanted.engine == "llamacpp":
            wheel = llama_wheel(wanted.project, cache=cache, log=log)
            _sync(wanted, log, "--no-install-package", LLAMA)
            install = ["uv", "pip", "install", "--no-deps", "--python", str(wanted.python)]
            run_logged([*install, str(wheel)], log, f"installing {wheel.name}")
        else:
            _sync(wanted, log)
        (wanted.folder / READY).touch()


def _sync(wanted: Environment, log: Path, *flags: str) -> None:
    sync = ["uv", "sync", "--frozen", "--project", str(wanted.project)]
    run_logged(
        [*sync, "--python", sys.executable, *flags],
        log,
        f"installing {wanted.engine}",
        env=_without_venv() | {"UV_PROJECT_ENVIRONMENT": str(wanted.folder)},
    )


def _without_venv() -> dict[str, str]:
    """This process' variables without its own environment, which uv would warn about."""
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}

"""Where the state of local runs lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOME: Final = "FLAGSCALE_HOME"


@dataclass(frozen=True, slots=True)
class Folders:
    """The layout under one root."""

    root: Path

    @property
    def objects(self) -> Path:
        """One JSON file for each object: `<kind>/<namespace>/<name>.json`."""
        return self.root / "objects"

    @property
    def pods(self) -> Path:
        """One folder for each pod, by uid."""
        return self.root / "pods"

    @property
    def agent_lock(self) -> Path:
        """Held by the agent while it works."""
        return self.root / "agent.lock"

    def front_port(self, namespace: str, service: str) -> Path:
        """The port of a service's gateway, kept over restarts."""
        return self.root / "ports" / namespace / service

    def addresses(self, namespace: str, service: str) -> Path:
        """Where the ready engines of a service listen, one line each."""
        return self.root / "addresses" / namespace / service

    def engine_file(self, engine: str) -> Path:
        """Names the interpreter of an engine's environment; through a link it would not know it."""
        return self.root / "engines" / engine

    def engine_python(self, engine: str) -> Path | None:
        """That interpreter; None: the engine is in the runner's own environment."""
        file = self.engine_file(engine)
        return Path(file.read_text()) if file.exists() else None

    def secret(self, namespace: str, name: str) -> Path:
        """A link to what stands for a Secret."""
        return self.root / "secrets" / namespace / name

    def downloads(self, namespace: str) -> Path:
        """Downloaded models, which pods share and keep."""
        return self.root / "downloads" / namespace

    def claim(self, namespace: str, name: str) -> Path:
        """What stands for a volume claim: a folder, or a link to one."""
        return self.root / "claims" / namespace / name


def folders_of(environ: Mapping[str, str]) -> Folders:
    """`$FLAGSCALE_HOME`, else the user's state folder of the XDG base directories."""
    if environ.get(HOME):
        return Folders(Path(environ[HOME]).absolute())
    state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Folders(Path(state) / "flagscale")

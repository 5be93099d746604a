"""Where the cluster keeps its files: a cache that survives `down` and a state that does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """The two roots; everything the cluster writes lies under one of them."""

    cache: Path
    """Binaries, build logs, images: keyed by content, kept by `down`."""
    state: Path
    """Keys, etcd data, pid files, logs, volumes: removed by `down`."""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig of the native cluster."""
        return self.state / "kubeconfig"

    @property
    def lock(self) -> Path:
        """Held while the native cluster is being started or stopped."""
        return self.cache / "locks" / "native"

    @property
    def image_store(self) -> Path:
        """containerd's root: images need no second import after `down` and `up`."""
        return self.cache / "containerd"


def folders(environ: Mapping[str, str]) -> Folders:
    """Read FLAGSCALE_CACHE and FLAGSCALE_STATE, with defaults under the home folder."""
    home = Path(environ.get("HOME", "/root"))
    cache = Path(environ.get("FLAGSCALE_CACHE") or home / ".cache" / "flagscale")
    state = Path(environ.get("FLAGSCALE_STATE") or cache / "state" / "native")
    return Folders(cache=cache, state=state)

"""The images there are, and what each is made of (pure)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PYTHON_IMAGE = "docker.io/library/python:3.13-slim-trixie"
"""The base where Docker and its registry are at hand."""


@dataclass(frozen=True)
class Role:
    """One image: its folder is images/<name>."""

    name: str
    extra: str = ""
    """The extra of the distribution to install; nothing of ours is installed without one."""
    sources: tuple[str, ...] = ()
    """Folders of the checkout whose content the image holds."""
    further: tuple[str, ...] = ()
    """Extras that are installed on top, so that the layer below is shared with other roles."""
    engine: str = ""
    """An engine of images/engines/ that the image holds, in an environment of its own."""
    shares: bool = False
    """Whether the engine uses the extra's packages where both locks have the same versions."""


ROLES = (
    Role("corpus"),
    Role("valkey"),
    Role("operator", "operator", ("crds/src", "operator/src")),
    Role("trainer", "trainer", ("crds/src", "workloads/src")),
    Role(
        "serving",
        "trainer",
        ("crds/src", "workloads/src"),
        further=("serving", "ray"),
        engine="vllm",
    ),
    Role(
        "sglang",
        "trainer",
        ("crds/src", "workloads/src"),
        further=("serving", "ray"),
        engine="sglang",
        shares=True,
    ),
    Role("matcher", "matcher", ("crds/src", "workloads/src")),
    Role("llamacpp", "serving", ("crds/src", "workloads/src"), engine="llamacpp"),
)
BY_NAME = {role.name: role for role in ROLES}


@dataclass(frozen=True)
class Image:
    """One version of a role's image."""

    role: str
    key: str

    @property
    def reference(self) -> str:
        """The name that pods use; never pulled, since no registry is called localhost."""
        return f"localhost/flagscale-{self.role}:{self.key}"


def content_key(parts: Iterable[tuple[str, bytes]]) -> str:
    """A short hash of named contents; their order does not matter."""
    digest = hashlib.sha256()
    for name, content in sorted(parts):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def folder_parts(root: Path, folder: str) -> list[tuple[str, bytes]]:
    """Name and content of every file under a folder, byte code left out."""
    files = (path for path in (root / folder).rglob("*") if path.is_file())
    return [
        (str(path.relative_to(root)), path.read_bytes())
        for path in files
        if "__pycache__" not in path.parts
    ]

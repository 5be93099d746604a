"""Makes the build context of an image: its folder, the locked requirements and our wheel."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from support.cluster.commands import capture, run_logged
from support.cluster.paths import folders
from support.engines.wheel import LLAMA, llama_wheel

from .requirements import common, without
from .roles import Image, Role, content_key, folder_parts

EPOCH = 1_700_000_000
"""Modification time of context files in seconds, so that equal contents make equal layers."""


@dataclass(frozen=True)
class Sources:
    """What an image is made of at this moment."""

    root: Path
    """The checkout."""
    role: Role
    requirements: bytes
    """Pinned and hashed requirements of the role's extra; empty without one."""
    further: bytes
    """Those of all its extras; empty without further ones."""
    engine: bytes
    """Those of the engine's own environment; empty without one."""
    shared: frozenset[str]
    """Names of distributions that the engine finds among the extra's."""
    image: Image


def read_sources(root: Path, role: Role, base: str) -> Sources:
    """Read the sources of a role and derive its image's name from their content."""
    requirements = locked_requirements(root, role.extra) if role.extra else b""
    further = locked_requirements(root, role.extra, *role.further) if role.further else b""
    engine = engine_requirements(root, role.engine) if role.engine else b""
    shared = common(engine, requirements) if role.shares else frozenset[str]()
    engine = without(engine, shared)
    parts = [*folder_parts(root, f"images/{role.name}"), ("base", base.encode())]
    if role.extra:
        parts.append(("requirements", requirements))
        parts.append(("further", further))
        parts.append(("engine", engine))
        parts.append(("pyproject.toml", (root / "pyproject.toml").read_bytes()))
        parts.extend((name, (root / "images" / name).read_bytes()) for name in _scripts(role))
    for folder in role.sources:
        parts.extend(folder_parts(root, folder))
    image = Image(role.name, content_key(parts))
    return Sources(root, role, requirements, further, engine, shared, image)


def _scripts(role: Role) -> tuple[str, ...]:
    return ("install.sh", *(("install_engine.sh",) if role.engine else ()))


def locked_requirements(root: Path, *extras: str) -> bytes:
    """The requirements of extras as uv.lock has them, with hashes, without ourselves."""
    wanted = [word for extra in extras for word in ("--extra", extra)]
    return _export(root, "--no-dev", *wanted)


def engine_requirements(root: Path, engine: str) -> bytes:
    """What an engine's own lock says, with hashes, without the engine that we compile ourselves."""
    return _export(root / "images" / "engines" / engine, "--no-emit-package", LLAMA)


def _export(project: Path, *wanted: str) -> bytes:
    export = ["uv", "export", "--frozen", "--no-emit-project", "--quiet", *wanted]
    return capture([*export, "--no-annotate", "--no-header", "--project", str(project)]).encode()


def write_context(sources: Sources, target: Path, log: Path) -> None:
    """Write the build context of an image into an empty folder."""
    shutil.copytree(sources.root / "images" / sources.role.name, target, dirs_exist_ok=True)
    if sources.role.extra:
        for name in _scripts(sources.role):
            shutil.copy(sources.root / "images" / name, target)
        (target / "requirements.txt").write_bytes(sources.requirements)
        if sources.further:
            (target / "further.txt").write_bytes(sources.further)
        if sources.engine:
            (target / "engine.txt").write_bytes(sources.engine)
        if sources.shared:
            (target / "shared.txt").write_text("\n".join(sorted(sources.shared)) + "\n")
        if sources.role.engine == "llamacpp":
            project = sources.root / "images" / "engines" / sources.role.engine
            cache = folders(os.environ).cache
            (target / "engine").mkdir()
            shutil.copy(llama_wheel(project, cache=cache, log=log), target / "engine")
        build = ["uv", "build", "--wheel", "--quiet", "--out-dir", str(target), str(sources.root)]
        env = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}
        run_logged(build, log, "wheel", env=env)
        (target / ".gitignore").unlink(missing_ok=True)
    _normalise(target)


def _normalise(folder: Path) -> None:
    # Times and modes are part of a layer: with the checkout's own, another clone would build
    # the gigabytes of torch again.
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))

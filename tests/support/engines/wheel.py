"""The wheel of llama-cpp-python: it is published as source only, and compiles for minutes."""

import os
import re
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from support.cluster.commands import run_logged
from support.cluster.errors import ClusterError
from support.cluster.progress import timed
from support.images.roles import content_key

LLAMA: Final = "llama-cpp-python"
# Not tuned to this very processor (the cache may move), and without the vision libraries.
CMAKE_ARGS: Final = "-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF"
# Nor llama.cpp's library for its own programs, more than half of the work: Python never loads it.
# The package forces that option into CMake's cache, where a variable of the same name hides it.
ONLY_WHAT_IS_LOADED: Final = "set(LLAMA_BUILD_COMMON OFF)\n"


def llama_wheel(project: Path, *, cache: Path, log: Path) -> Path:
    """The compiled wheel of the locked version, from the cache or compiled now.

    Raises ClusterError when the lock has no such package or the compilation fails.
    """
    requirement = locked_source(project / "uv.lock", LLAMA)
    target = cache / "wheels" / wheel_key(requirement)
    found = _wheel_in(target)
    if found is not None:
        return found
    with timed(f"compiling {target.name} (once; some minutes of CPU)"):
        _compile(requirement, target, log)
    made = _wheel_in(target)
    if made is None:
        raise ClusterError(f"wheel: pip made none in {target}; see {log}")
    return made


def locked_source(lock: Path, package: str) -> str:
    """The lock's source distribution as a requirement with its hash."""
    for entry in tomllib.loads(lock.read_text())["package"]:
        if entry["name"] == package:
            return f"{package}=={entry['version']} --hash={entry['sdist']['hash']}"
    raise ClusterError(f"{lock}: no package {package}; run `uv lock --project {lock.parent}`")


def wheel_key(requirement: str) -> str:
    """Folder name: package, version, Python and machine, and how it was compiled."""
    name = requirement.partition(" ")[0].replace("==", "-")
    platform = re.sub(r"\W", "_", sysconfig.get_platform())
    flags = content_key(
        [("arguments", CMAKE_ARGS.encode()), ("cmake", ONLY_WHAT_IS_LOADED.encode())]
    )
    return f"{name}-cp{sys.version_info.major}{sys.version_info.minor}-{platform}-{flags}"


def _wheel_in(folder: Path) -> Path | None:
    return next(folder.glob("*.whl"), None)


def _compile(requirement: str, target: Path, log: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        work, out = Path(folder), Path(folder) / "out"
        (work / "requirements.txt").write_text(requirement + "\n")
        included = work / "included.cmake"
        included.write_text(ONLY_WHAT_IS_LOADED)
        arguments = f"{CMAKE_ARGS} -DCMAKE_PROJECT_INCLUDE={included}"
        python, cores = str(work / "venv" / "bin" / "python"), str(len(os.sched_getaffinity(0)))
        run_logged(["uv", "venv", "--seed", "--python", sys.executable, str(work / "venv")],
                   log, "environment of the compiler")  # fmt: skip
        # pip's own cache knows the version alone, not how it was compiled.
        pip = [python, "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--no-binary", LLAMA]
        run_logged(
            [*pip, "--requirement", str(work / "requirements.txt"), "--wheel-dir", str(out)],
            log,
            f"compiling {LLAMA}",
            env={**os.environ, "CMAKE_ARGS": arguments, "CMAKE_BUILD_PARALLEL_LEVEL": cores},
        )
        out.rename(target)

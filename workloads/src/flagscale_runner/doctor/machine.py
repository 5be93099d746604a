"""What this machine has."""

import importlib.util
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from flagscale_runner.doctor.check import Check
from flagscale_runner.local.folders import Folders

_GIB: Final = 1 << 30
_LEAST_MEMORY: Final = 2 * _GIB
_LEAST_DISK: Final = 2 * _GIB
_NEEDED: Final = {"torch": "local", "transformers": "local", "psutil": "local", "kopf": "local"}
_OPTIONAL: Final = {"onnxruntime": ("agent", "flagscale match"),
                    "uvicorn": ("serving", "an InferenceService")}  # fmt: skip


def machine_checks(folders: Folders) -> list[Check]:
    """In the order in which they matter."""
    packages = [_package(name, extra) for name, extra in _NEEDED.items()]
    optional = [_package(n, e, what) for n, (e, what) in _OPTIONAL.items()]
    return [_system(), _python(), *packages, _memory(), _disk(folders), _state(folders), _gpu(),
            *optional]  # fmt: skip


def _system() -> Check:
    found = f"{platform.system()} {platform.release()}"
    wrong = "" if sys.platform == "linux" else "runs are on Linux only; use --on cluster"
    return Check("system", found, wrong)


def _python() -> Check:
    found = platform.python_version()
    return Check("python", found, "" if sys.version_info >= (3, 11) else "install 3.11 or newer")


def _package(name: str, extra: str, what: str = "") -> Check:
    if importlib.util.find_spec(name):
        return Check(name, version(name), optional=bool(what))
    purpose = f"{what} needs it: " if what else ""
    return Check(name, "absent", f"{purpose}pip install 'flagscale[{extra}]'", bool(what))


def _memory() -> Check:
    if not importlib.util.find_spec("psutil"):
        return Check("memory", "unknown")
    import psutil

    free = psutil.virtual_memory().available
    wrong = "" if free >= _LEAST_MEMORY else "end other programs: 2 GiB are wanted at least"
    return Check("memory", f"{free / _GIB:.1f} GiB free", wrong)


def _disk(folders: Folders) -> Check:
    place = next(p for p in (folders.root, *folders.root.parents) if p.exists())
    free = shutil.disk_usage(place).free
    wrong = "" if free >= _LEAST_DISK else f"free some of {place}: 2 GiB are wanted at least"
    return Check("disk", f"{free / _GIB:.1f} GiB free in {place}", wrong)


def _state(folders: Folders) -> Check:
    from flagscale_runner.local.durable import is_locked

    try:
        working = is_locked(folders.agent_lock)
    except OSError as error:
        return Check("state", str(folders.root), f"can't be written ({error}); set FLAGSCALE_HOME")
    return Check("state", f"{folders.root}, {'something runs' if working else 'nothing runs'}")


def _gpu() -> Check:
    found = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return Check("gpu", ", ".join(found) or "none, so the processors compute", optional=True)

"""A folder for the temporary files of one engine: sockets and caches that it leaves when it ends.

Whoever uses a folder holds a lock on it, which the kernel releases with the process: so what a
killed serving process left is told from what another one uses, and removed at the next start.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Nobody else's: what has this name and is not in use is removed, in a /tmp of all programs too.
PREFIX: Final = "fs-engine-"
# The path of a socket may have 107 characters, of which a folder takes 20 and engines 40.
ROOT_CHARACTERS: Final = 47
SHORT_ROOT: Final = "/tmp"  # noqa: S108 - folders in it get random names, and are ours alone


def temporary_root(environ: Mapping[str, str]) -> Path:
    """Where engines of a process with these variables keep temporary files."""
    root = environ.get("TMPDIR") or tempfile.gettempdir()
    return Path(root if len(root) <= ROOT_CHARACTERS else SHORT_ROOT)


@contextmanager
def engine_folder(root: Path) -> Iterator[Path]:
    """A new folder in `root`, removed at the end; those that nobody uses any more go before."""
    _remove_left(root)
    folder, lock = _locked_folder(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder(root: Path) -> tuple[Path, int]:
    """Another process may take a new folder for one that is left until its lock is held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_left(root: Path) -> None:
    for folder in root.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or no folder
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue  # in use
        finally:
            os.close(lock)


def folder_variables(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that make an engine keep its temporary files there.

    What torch compiles stays where it is shared by all engines and outlives them.
    """
    compiled = temporary_root(environ) / f"torchinductor_{os.getuid()}"
    return {
        "TMPDIR": str(folder),
        "TORCHINDUCTOR_CACHE_DIR": environ.get("TORCHINDUCTOR_CACHE_DIR") or str(compiled),
    }

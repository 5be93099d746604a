"""Processes that outlive whoever starts them."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path


def start_detached(module: str, argument: str, environ: Mapping[str, str], log: Path) -> None:
    """Start a module of ours in a session of its own, with its output in a log file.

    `posix_spawn` and not `subprocess`, which takes an abandoned child for a mistake. A starter that
    lives long should ignore SIGCHLD, so that the kernel reaps for it.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", module, argument],
        environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGCHLD],  # an ignored one would be inherited, and exit codes lost
    )

"""`python -m flagscale_runner.local ROOT`: the agent of one folder, in the background.

At most one works; another ends before it has loaded anything.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from flagscale_runner.local.durable import try_lock
from flagscale_runner.local.folders import Folders


def main(root: Path) -> None:
    """Work until every job has ended."""
    folders = Folders(root)
    lock = try_lock(folders.agent_lock)
    if lock is None:
        return
    from flagscale_runner.local.agent import run_agent

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # pods are reaped by the kernel
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run_agent(folders, os.environ))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

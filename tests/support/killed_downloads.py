"""`python -m support.killed_downloads CONFIG`: a download killed at each file operation in turn.

Each child dies by SIGKILL just before its n-th operation; then a second one has to finish the work.
Prints the number of children that were killed; a sentence on stderr and 1 when one found harm.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flagscale_api.runtime.download import DownloadConfig
from flagscale_workloads.download import hub  # noqa: F401 - children need not load it
from flagscale_workloads.download.store import read_receipt
from flagscale_workloads.train.durable import sha256
from support.model_downloads import fetch

EVENTS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"})


def kill_at(number: int, root: str) -> None:
    """Die before the n-th operation on a file below the root."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in EVENTS and root in str(arguments[0]):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def run_child(config: DownloadConfig, before: Callable[[], None] = lambda: None) -> bool:
    """Whether it lived to its end."""
    child = os.fork()
    if child == 0:
        before()
        fetch(config)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def is_whole(folder: Path) -> bool:
    """Whether each file is what the receipt says."""
    receipt = read_receipt(folder)
    return receipt is not None and all(
        sha256(folder / name) == entry["sha256"] for name, entry in receipt.files.items()
    )


def main(config: DownloadConfig) -> str:
    """All of it; what went wrong, or nothing."""
    folder = Path(config.folder)
    root, killed = str(folder.parent), 0
    while True:
        shutil.rmtree(folder.parent, ignore_errors=True)
        lived = run_child(config, partial(kill_at, killed + 1, root))
        if folder.exists() and not is_whole(folder):
            return f"killed at operation {killed + 1}: {folder} is there and not whole"
        if lived:
            print(killed)
            return ""
        killed += 1
        if not run_child(config) or not is_whole(folder):
            return f"killed at operation {killed}: the next one did not finish the work"
        if sorted(p.name for p in folder.parent.iterdir()) != [f".{folder.name}.lock", folder.name]:
            return f"killed at operation {killed}: something is left beside {folder}"


if __name__ == "__main__":
    sys.exit(main(DownloadConfig.model_validate_json(sys.argv[1])) or 0)

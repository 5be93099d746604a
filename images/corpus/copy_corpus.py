"""Copies the corpus to the path given; complete or not at all, and only when it differs."""

import filecmp
import shutil
import sys
from pathlib import Path

SOURCE = Path("/usr/share/flagscale/corpus.txt")


def copy(source: Path, target: Path) -> bool:
    """Copy unless the target already holds the same text; say whether it was copied."""
    if target.exists() and filecmp.cmp(source, target, shallow=False):
        return False
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
    return True


if __name__ == "__main__":
    destination = Path(sys.argv[1])
    done = copy(SOURCE, destination)
    print(f"{destination}: {'written' if done else 'already there'}", flush=True)

"""share.py ENGINE LIST: lets an engine's environment find distributions of this interpreter.

LIST names one distribution a line. They come last on the engine's path, so that they never hide
what it has itself, and nothing else of this interpreter's packages is seen there.
"""

import sys
from importlib.metadata import distribution
from pathlib import Path


def share(names: list[str], folder: Path) -> None:
    """Link the packages and the metadata of distributions into a folder."""
    folder.mkdir()
    for name in names:
        found = distribution(name)
        tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
        for top in sorted(tops):
            link = folder / top
            # Distributions of one vendor share a package.
            if not link.is_symlink():
                link.symlink_to(Path(str(found.locate_file(top))))


if __name__ == "__main__":
    engine, listed = map(Path, sys.argv[1:])
    share(listed.read_text().split(), engine / "shared")
    (site,) = engine.glob("lib/python3*/site-packages")
    (site / "shared.pth").write_text(f"{engine / 'shared'}\n")

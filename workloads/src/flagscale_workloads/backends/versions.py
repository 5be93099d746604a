"""Which version of an engine an environment has, found without starting its interpreter."""

from importlib.metadata import distributions
from pathlib import Path


def installed_version(python: Path, *names: str) -> str | None:
    """Version of the first of these distributions beside an interpreter; None when none is there.

    Looks into `<prefix>/lib/python3.*/site-packages` of `<prefix>/bin/python`, links not followed:
    a virtual environment's interpreter is a link to another one.
    """
    folders = [
        str(path) for path in python.absolute().parent.parent.glob("lib/python3*/site-packages")
    ]
    for name in names:
        for found in distributions(name=name, path=folders):
            return found.version
    return None

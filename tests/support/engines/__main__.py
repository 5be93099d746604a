"""Command line: python -m support.engines ENGINE...|all. Prints one interpreter per engine."""

import argparse
import sys

from support.cluster.errors import ClusterError

from .environment import ENGINES, engine_python


def main(arguments: list[str]) -> int:
    """Build what is missing; 1 with a sentence on stderr when it fails."""
    parser = argparse.ArgumentParser(prog="python -m support.engines", description=__doc__)
    parser.add_argument("engines", nargs="+", choices=(*ENGINES, "all"))
    names = parser.parse_args(arguments).engines
    try:
        for name in ENGINES if "all" in names else names:
            print(engine_python(name), flush=True)
    except ClusterError as error:
        print(f"engines: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

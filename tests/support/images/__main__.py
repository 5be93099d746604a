"""Command line: python -m support.images build|load ROLE...|all.

Prints one reference per role on stdout; progress goes to stderr.
"""

import argparse
import os
import sys
from pathlib import Path

from support.cluster.choice import BACKENDS, choose
from support.cluster.errors import ClusterError
from support.cluster.machine import install_packages, missing_packages, this_machine
from support.cluster.paths import folders

from .builder import Buildah, Docker
from .loading import load_kind, load_native
from .roles import BY_NAME, Role

ROOT = Path(__file__).resolve().parents[3]


def main(arguments: list[str]) -> int:
    """Run one verb; 1 with a sentence on stderr when it fails."""
    options = _parser().parse_args(arguments)
    names = list(BY_NAME) if "all" in options.roles else options.roles
    try:
        run([BY_NAME[name] for name in names], options.cluster, load=options.verb == "load")
    except ClusterError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


def run(roles: list[Role], wish: str | None, *, load: bool) -> None:
    """Build (and load) roles for the cluster of this machine, printing their references."""
    cache = folders(os.environ).cache
    if choose(this_machine(), wish) == "kind":
        docker = Docker(ROOT, cache)
        for role in roles:
            image = docker.build(role)
            if load:
                load_kind(image)
            print(image.reference, flush=True)
        return
    install_packages(missing_packages(), cache / "logs" / "apt.log")
    buildah = Buildah(ROOT, cache)
    for role in roles:
        image = buildah.build(role)
        if load:
            load_native(buildah.layout, image)
        print(image.reference, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m support.images", description=__doc__)
    parser.add_argument("--cluster", choices=BACKENDS, default=os.environ.get("CLUSTER") or None)
    parser.add_argument("verb", choices=("build", "load"))
    parser.add_argument("roles", nargs="+", choices=(*BY_NAME, "all"))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Command line: python -m support.images build|load|prune ROLE...|all.

prune loads the current image of a role and removes every older one from all stores.
Prints one reference per role on stdout; progress goes to stderr.
"""

import argparse
import os
import sys
from pathlib import Path

from support.cluster.choice import BACKENDS, choose
from support.cluster.errors import ClusterError
from support.cluster.locks import locked
from support.cluster.machine import install_packages, missing_packages, this_machine
from support.cluster.paths import folders

from .builder import Buildah, Docker
from .loading import load_kind, load_native
from .pipeline import pipelined
from .pruning import prune_native
from .roles import BY_NAME, Image, Role

ROOT = Path(__file__).resolve().parents[3]


def main(arguments: list[str]) -> int:
    """Run one verb; 1 with a sentence on stderr when it fails."""
    options = _parser().parse_args(arguments)
    names = list(BY_NAME) if "all" in options.roles else options.roles
    cache = folders(os.environ).cache
    try:
        with locked(cache / "locks" / "images", "building or loading images"):
            run([BY_NAME[name] for name in names], options)
    except ClusterError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


def run(roles: list[Role], options: argparse.Namespace) -> None:
    """Do one verb for every role, printing the references of their images."""
    cache = folders(os.environ).cache
    if choose(this_machine(), options.cluster) == "kind":
        for image in map(Docker(ROOT, cache).build, roles):
            if options.verb == "load":
                load_kind(image)
            print(image.reference, flush=True)
        return
    install_packages(missing_packages(), cache / "logs" / "apt.log")
    buildah = Buildah(ROOT, cache)
    # Read once: the exports beside the builds write it.
    exported = buildah.layout.names()

    def deliver(image: Image) -> None:
        buildah.export(image)
        if options.verb != "build":
            load_native(buildah.layout, image)

    for image in pipelined(roles, lambda role: buildah.build(role, exported), deliver):
        if options.verb == "prune":
            prune_native(buildah.layout, image)
        print(image.reference, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m support.images", description=__doc__)
    parser.add_argument("--cluster", choices=BACKENDS, default=os.environ.get("CLUSTER") or None)
    parser.add_argument("verb", choices=("build", "load", "prune"))
    parser.add_argument("roles", nargs="+", choices=(*BY_NAME, "all"))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Command line: python -m support.cluster up|down|status|..."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import control_plane, current, kind, native, store, teardown
from .builds import ensure
from .choice import BACKENDS, choose
from .errors import ClusterError
from .machine import this_machine
from .paths import folders
from .processes import Supervisor
from .recipes import BY_NAME, program_path, recipe_of


def main(arguments: list[str]) -> int:
    """Run one verb; 1 with a sentence on stderr when it fails."""
    options = _parser().parse_args(arguments)
    action: Callable[[argparse.Namespace], int] = options.action
    try:
        return action(options)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m support.cluster", description=__doc__)
    parser.add_argument(
        "--cluster", choices=BACKENDS, default=os.environ.get("CLUSTER") or None, help="backend"
    )
    verbs = parser.add_subparsers(required=True)
    for name, action, text in (
        ("up", _up, "start the cluster, or repair it; prints the kubeconfig's path"),
        ("down", _down, "take it down"),
        ("status", _status, "print a table of its components"),
        ("kubeconfig", _kubeconfig, "print the kubeconfig's path"),
    ):
        verbs.add_parser(name, help=text).set_defaults(action=action)
    for name, action, text, argument in (
        ("load-image", _load_image, "import an image archive", "file"),
        ("stop", _stop, "stop one component of the native cluster", "component"),
        ("start", _start, "start one component of the native cluster", "component"),
        ("program", _program, "build kubectl, helm or another program; print its path", "name"),
        ("control-plane-up", _plane_up, "start an API server without a node", "folder"),
        ("control-plane-down", _plane_down, "stop it", "folder"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument(argument)
        verb.set_defaults(action=action)
    return parser


def _backend(options: argparse.Namespace) -> str:
    return choose(this_machine(), options.cluster)


def _up(options: argparse.Namespace) -> int:
    starters = {"native": native.up, "kind": kind.up, "current": current.up}
    print(starters[_backend(options)]())
    return 0


def _down(options: argparse.Namespace) -> int:
    enders = {"native": teardown.down, "kind": kind.down, "current": current.down}
    enders[_backend(options)]()
    return 0


def _status(options: argparse.Namespace) -> int:
    backend = _backend(options)
    if backend != "native":
        print(f"{backend}: ask kubectl --kubeconfig={_kubeconfigs()[backend]} get nodes")
        return 0
    lines = native.status()
    print(f"{'COMPONENT':<26}{'PID':<10}HEALTHY")
    for line in lines:
        print(f"{line.name:<26}{line.pid or '-':<10}{'yes' if line.healthy else 'no'}")
    return 0 if all(line.healthy for line in lines) else 1


def _kubeconfig(options: argparse.Namespace) -> int:
    print(_kubeconfigs()[_backend(options)])
    return 0


def _kubeconfigs() -> dict[str, Path]:
    native_file = folders(os.environ).kubeconfig
    return {"native": native_file, "kind": kind.kubeconfig(), "current": current.kubeconfig()}


def _load_image(options: argparse.Namespace) -> int:
    if _backend(options) == "kind":
        kind.load(Path(options.file))
    else:
        store.load(native.plan_of(folders(os.environ)), Path(options.file))
    return 0


def _stop(options: argparse.Namespace) -> int:
    native.stop_component(options.component)
    return 0


def _start(options: argparse.Namespace) -> int:
    native.start_component(options.component)
    return 0


def _program(options: argparse.Namespace) -> int:
    cache = folders(os.environ).cache
    try:
        recipe = recipe_of(options.name)
    except KeyError:
        known = sorted(program for r in BY_NAME.values() for program, _ in r.programs)
        raise ClusterError(
            f"program: unknown, got {options.name!r}; choose one of {', '.join(known)}"
        ) from None
    ensure(cache, [recipe.name])
    print(program_path(cache, options.name))
    return 0


def _plane_up(options: argparse.Namespace) -> int:
    print(control_plane.start(Path(options.folder)).kubeconfig)
    return 0


def _plane_down(options: argparse.Namespace) -> int:
    supervisor = Supervisor(Path(options.folder).absolute())
    for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
        supervisor.stop(name, control_plane.STOP_GRACE_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

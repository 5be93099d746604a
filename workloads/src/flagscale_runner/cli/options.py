"""What the commands share: exit codes, options, and which runner is meant."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from flagscale_runner.base import Runner, Target

FAILED: Final = 1
WRONG: Final = 2
SUSPENDED: Final = 3
Where = Literal["local", "cluster"]
Output = Literal["text", "json"]

File = Annotated[Path, typer.Argument(help="A YAML file with one resource or more.")]
Name = Annotated[
    str, typer.Argument(help="Name, or KIND/NAME where resources of two kinds share it.")
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Its namespace; unset: default, or the context's."),
]
On = Annotated[
    Where, typer.Option("--on", envvar="FLAGSCALE_ON", help="This machine, or a cluster.")
]
Context = Annotated[
    str | None, typer.Option(help="Context of the kubeconfig; unset: the current one.")
]
Format = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]
_KINDS: Final = {
    "trainjob": "TrainJob", "trainjobs": "TrainJob", "tj": "TrainJob",
    "inferenceservice": "InferenceService", "inferenceservices": "InferenceService",
    "isvc": "InferenceService",
    "agenttool": "AgentTool", "agenttools": "AgentTool", "tool": "AgentTool",
    "agenttoolsource": "AgentToolSource", "agenttoolsources": "AgentToolSource",
    "toolsource": "AgentToolSource",
}  # fmt: skip


@contextmanager
def sentences() -> Iterator[None]:
    """Errors as one line on stderr and exit code 2."""
    from flagscale_runner.base import RunnerError

    try:
        yield
    except RunnerError as error:
        typer.echo(f"flagscale: {error}", err=True)
        raise typer.Exit(WRONG) from error
    except ModuleNotFoundError as error:
        typer.echo(
            f"flagscale: {error.name} is not installed; pip install 'flagscale[local]' runs on "
            "this machine, 'flagscale[operator]' in a cluster",
            err=True,
        )
        raise typer.Exit(WRONG) from error


@contextmanager
def runner(on: Where, context: str | None) -> "Iterator[Runner]":
    """The runner that is meant; errors as in `sentences`."""
    with sentences():
        if on == "local":
            from flagscale_runner.local.runner import LocalRunner

            yield LocalRunner.of()
            return
        from flagscale_runner.cluster.runner import ClusterRunner

        with ClusterRunner.of(os.environ, context) as found:
            yield found


def target(runner: "Runner", name: str, namespace: str | None) -> "Target":
    """The resource of a name; RunnerError when there is none, or one of each kind."""
    from flagscale_runner.base import KINDS, RunnerError, Target

    where = namespace or runner.namespace
    kind, slash, rest = name.rpartition("/")
    if slash:
        if kind.lower() not in _KINDS:
            names = " or ".join(map(str.lower, KINDS))
            raise RunnerError(f"{name}: unknown kind, got {kind}; use {names}")
        return Target(_KINDS[kind.lower()], where, rest)
    wanted = [Target(kind, where, name) for kind in KINDS]
    found = [t for t in wanted if _is_there(runner, t)]
    if len(found) == 1:
        return found[0]
    if found:
        said = " or ".join(f"{t.kind.lower()}/{name}" for t in found)
        raise RunnerError(f"{name}: {len(found)} of this name in {where}; say {said}")
    raise RunnerError(f"{name}: is not there in {where}; `flagscale status` lists what is")


def _is_there(runner: "Runner", target: "Target") -> bool:
    """False too for a tool that the user may not read: who runs models may lack that right."""
    from flagscale_runner.base import WITHOUT_PODS, NotAllowedError

    try:
        return runner.status(target) is not None
    except NotAllowedError:
        if target.kind in WITHOUT_PODS:
            return False
        raise

"""`flagscale run`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flagscale_runner.cli import options

if TYPE_CHECKING:
    from flagscale_runner.base import Runner


def run(
    file: options.File,
    on: options.On = "local",
    context: options.Context = None,
    volume: Annotated[
        list[str] | None,
        typer.Option(help="A folder that stands for a volume claim: CLAIM=FOLDER. Remembered."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            help="What stands for a Secret: NAME=FOLDER with a file for each key, or NAME=FILE of "
            "KEY=VALUE lines. Remembered; read when a pod starts."
        ),
    ] = None,
    engine_python: Annotated[
        list[str] | None,
        typer.Option(
            help="The interpreter of an engine's own environment: ENGINE=PYTHON. Remembered."
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it, don't follow it.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Run a file's resources and follow them; again: attach."""
    from flagscale_runner.cli.follow import follow
    from flagscale_runner.documents import read_documents, validated

    with options.runner(on, context) as runner:
        documents = read_documents(file)
        targets = [validated(document) for document in documents]
        given = _Given(volume or (), secret or (), engine_python or ())
        _prepare(runner, given, {t.namespace for t in targets})
        submitted = [runner.submit(document) for document in documents]
        if not detach:
            raise typer.Exit(max(follow(runner, target) for target in submitted))


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands here for what a cluster has: texts of A=B."""

    volumes: Sequence[str]
    secrets: Sequence[str]
    pythons: Sequence[str]


def _prepare(runner: "Runner", given: _Given, namespaces: set[str]) -> None:
    from flagscale_runner.base import RunnerError
    from flagscale_runner.local.runner import LocalRunner

    every = (*given.volumes, *given.secrets, *given.pythons)
    if not every:
        return
    if not isinstance(runner, LocalRunner):
        raise RunnerError(
            f"--volume, --secret, --engine-python: are for this machine, got {every[0]} with "
            "--on cluster; leave them out"
        )
    volumes = [_pair("--volume", text) for text in given.volumes]
    secrets = [_pair("--secret", text) for text in given.secrets]
    pythons = [_pair("--engine-python", text) for text in given.pythons]
    for namespace in namespaces:
        for claim, folder in volumes:
            runner.use_folder(namespace, claim, folder)
        for name, path in secrets:
            runner.use_secret(namespace, name, path)
    for engine, python in pythons:
        runner.use_engine(engine, python)


def _pair(option: str, text: str) -> tuple[str, Path]:
    """A name and a path; RunnerError for less, as no path at all would be the current folder."""
    from flagscale_runner.base import RunnerError

    name, _, path = text.partition("=")
    if not (name and path):
        raise RunnerError(f"{option}: is no NAME=PATH, got {text!r}; give both")
    return name, Path(path)

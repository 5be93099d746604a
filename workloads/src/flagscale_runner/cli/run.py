"""`flagscale run`."""

from collections.abc import Sequence
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
    from flagscale_runner.documents import read_documents, runnable

    with options.runner(on, context) as runner:
        documents = read_documents(file)
        targets = [runnable(document) for document in documents]
        _prepare(runner, volume or (), engine_python or (), {t.namespace for t in targets})
        submitted = [runner.submit(document) for document in documents]
        if not detach:
            raise typer.Exit(max(follow(runner, target) for target in submitted))


def _prepare(
    runner: "Runner", volumes: Sequence[str], pythons: Sequence[str], namespaces: set[str]
) -> None:
    from flagscale_runner.base import RunnerError
    from flagscale_runner.local.runner import LocalRunner

    if not (volumes or pythons):
        return
    if not isinstance(runner, LocalRunner):
        raise RunnerError(
            f"--volume, --engine-python: are for this machine, got {(*volumes, *pythons)[0]} with "
            "--on cluster; leave them out"
        )
    for text in volumes:
        claim, _, folder = text.partition("=")
        for namespace in namespaces:
            runner.use_folder(namespace, claim, Path(folder))
    for text in pythons:
        engine, _, python = text.partition("=")
        runner.use_engine(engine, Path(python))

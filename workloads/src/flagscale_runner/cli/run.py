"""`flagscale run`."""

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
    detach: Annotated[bool, typer.Option("--detach", help="Start it, don't follow it.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Run the resources of a file and follow them to their end; again: attach to what runs."""
    from flagscale_runner.cli.follow import follow
    from flagscale_runner.documents import read_documents, validated

    with options.runner(on, context) as runner:
        documents = read_documents(file)
        targets = [validated(document) for document in documents]
        for text in volume or ():
            _use_folder(runner, text, {target.namespace for target in targets})
        submitted = [runner.submit(document) for document in documents]
        if not detach:
            raise typer.Exit(max(follow(runner, target) for target in submitted))


def _use_folder(runner: "Runner", text: str, namespaces: set[str]) -> None:
    from flagscale_runner.base import RunnerError
    from flagscale_runner.local.runner import LocalRunner

    if not isinstance(runner, LocalRunner):
        raise RunnerError(
            f"--volume: is for this machine, got {text} with --on cluster; make the claim there"
        )
    claim, _, folder = text.partition("=")
    for namespace in namespaces:
        runner.use_folder(namespace, claim, Path(folder))

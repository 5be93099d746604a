"""`flagscale init`, `validate` and `render`: files, without running anything."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from flagscale_runner.cli import options

Task = Literal["train", "script", "serve"]


def init(
    task: Annotated[Task, typer.Argument(help="train, script (your own program) or serve.")],
    name: Annotated[str, typer.Option(help="Name of the resource.")] = "tiny-llama",
) -> None:
    """Print a commented YAML for a task, ready to run."""
    text = (Path(__file__).parents[1] / "templates" / f"{task}.yaml").read_text()
    typer.echo(text.replace("NAME", name), nl=False)


def validate(file: options.File) -> None:
    """Check a file; every mistake is told with its field and value."""
    from flagscale_runner.documents import mistakes

    with options.sentences():
        found = list(mistakes(file))
    for mistake in found:
        typer.echo(mistake, err=True)
    if found:
        raise typer.Exit(options.WRONG)
    typer.echo(f"{file}: valid")


def render(file: options.File) -> None:
    """Print the objects that the operator would apply for a file."""
    from flagscale_runner.rendering import rendered

    with options.sentences():
        typer.echo(rendered(file, os.environ), nl=False)

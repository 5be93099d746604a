"""`flagscale`: the commands; what they need is imported when one runs, so that help is quick."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from flagscale_runner.base import Target
    from flagscale_runner.local.runner import LocalRunner

FAILED: Final = 1
WRONG: Final = 2
SUSPENDED: Final = 3
app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train models with the same YAML as in a cluster, on this machine.",
    epilog="Exit codes: 0 done, 1 the job failed, 2 a wrong command or file, 3 suspended.",
)
Output = Literal["text", "json"]
File = Annotated[Path, typer.Argument(help="A YAML file with one resource or more.")]
Name = Annotated[str, typer.Argument(help="Name of the TrainJob.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")]


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors as one line on stderr and exit code 2."""
    from flagscale_runner.base import RunnerError

    try:
        yield
    except RunnerError as error:
        typer.echo(f"flagscale: {error}", err=True)
        raise typer.Exit(WRONG) from error


def _runner() -> "LocalRunner":
    from flagscale_runner.local.runner import LocalRunner

    return LocalRunner.of()


def _target(name: str, namespace: str) -> "Target":
    from flagscale_runner.base import Target

    return Target("TrainJob", namespace, name)


@app.command(epilog="Example: flagscale validate trainjob.yaml")
def validate(file: File) -> None:
    """Check a file as the API server would; every mistake with its field and value."""
    from flagscale_runner.documents import mistakes

    with _sentences():
        found = list(mistakes(file))
    for mistake in found:
        typer.echo(mistake, err=True)
    if found:
        raise typer.Exit(WRONG)
    typer.echo(f"{file}: valid")


@app.command(epilog="Example: flagscale run trainjob.yaml --volume training-data=./data")
def run(
    file: File,
    volume: Annotated[
        list[str] | None,
        typer.Option(help="A folder that stands for a volume claim: CLAIM=FOLDER. Remembered."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it, don't follow it.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Run the TrainJobs of a file on this machine and follow them to their end."""
    from flagscale_runner.cli.follow import follow
    from flagscale_runner.documents import read_documents, validated

    with _sentences():
        runner, documents = _runner(), read_documents(file)
        targets = [validated(document) for document in documents]
        for text in volume or ():
            claim, _, folder = text.partition("=")
            for namespace in {target.namespace for target in targets}:
                runner.use_folder(namespace, claim, Path(folder))
        for document in documents:
            runner.submit(document)
        if not detach:
            raise typer.Exit(max(follow(runner, target) for target in targets))


@app.command(epilog="Example: flagscale status tiny-llama --output json")
def status(
    name: Annotated[str | None, typer.Argument(help="Name of the TrainJob; all without.")] = None,
    namespace: Namespace = "default",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """What runs, how far it is, and why it does not."""
    from flagscale_runner.cli.show import as_json, as_table, as_text

    with _sentences():
        if name is None:
            bodies = _runner().jobs()
            typer.echo(as_json(bodies) if output == "json" else as_table(bodies))
            return
        body = _runner().existing(_target(name, namespace))
    typer.echo(as_json(body) if output == "json" else as_text(body))


@app.command(epilog="Example: flagscale logs tiny-llama --follow")
def logs(
    name: Name,
    namespace: Namespace = "default",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it ends.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """What the pods of the newest attempt have printed."""
    with _sentences():
        for line in _runner().logs(_target(name, namespace), follow=follow):
            typer.echo(line)


@app.command(epilog="Example: flagscale suspend tiny-llama")
def suspend(name: Name, namespace: Namespace = "default") -> None:
    """Save a checkpoint and stop; `resume` goes on from there."""
    with _sentences():
        _runner().suspend(_target(name, namespace), suspend=True)


@app.command(epilog="Example: flagscale resume tiny-llama")
def resume(name: Name, namespace: Namespace = "default") -> None:
    """Go on from the newest checkpoint."""
    with _sentences():
        _runner().suspend(_target(name, namespace), suspend=False)


@app.command(epilog="Example: flagscale stop tiny-llama")
def stop(name: Name, namespace: Namespace = "default") -> None:
    """End a job and all its processes; its checkpoints stay in the volume."""
    with _sentences():
        _runner().stop(_target(name, namespace))

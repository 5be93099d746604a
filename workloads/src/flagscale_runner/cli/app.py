"""`flagscale`: the commands; what they need is imported when one runs, so that help is quick."""

import sys

import typer

from flagscale_runner.cli import change, files, look, run, talk

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes twice as long as all else to load
    help="Train and serve models with one YAML, on this machine or in a cluster.",
    epilog="Exit codes: 0 done, 1 a job failed, 2 a wrong command or file, 3 suspended, "
    "130 interrupted (what was started goes on).",
)
for command, example in (
    (files.init, "flagscale init train > trainjob.yaml"),
    (files.validate, "flagscale validate trainjob.yaml"),
    (files.render, "flagscale render trainjob.yaml"),
    (run.run, "flagscale run trainjob.yaml --volume training-data=./data"),
    (look.status, "flagscale status tiny-llama --output json"),
    (look.logs, "flagscale logs tiny-llama --follow"),
    (look.explain, "flagscale explain tiny-llama --on cluster"),
    (change.suspend, "flagscale suspend tiny-llama"),
    (change.resume, "flagscale resume tiny-llama"),
    (change.stop, "flagscale stop tiny-llama"),
    (talk.chat, "flagscale chat tiny-llama 'Who are you?'"),
    (talk.match, "flagscale match 'Will it rain in Rome?' --tools tools.yaml"),
    (look.doctor, "flagscale doctor --on cluster"),
):
    app.command(epilog=f"Example: {example}")(command)


def main() -> None:
    """The console script; an interrupt leaves what was started alone."""
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("flagscale: interrupted; `flagscale status` tells what still runs", err=True)
        sys.exit(130)

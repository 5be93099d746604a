"""`flagscale status`, `logs`, `explain` and `doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer

from flagscale_runner.cli import options

if TYPE_CHECKING:
    from flagscale_runner.base import Manifest, Runner


def status(
    name: Annotated[str | None, typer.Argument(help="Name, or KIND/NAME; all without.")] = None,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
    output: options.Format = "text",
) -> None:
    """What runs, how far it is, and why it does not."""
    from flagscale_runner.cli.show import as_json, as_tables, as_text
    from flagscale_runner.waiting import existing

    with options.runner(on, context) as runner:
        if name is None:
            bodies = _all(runner, namespace)
            typer.echo(as_json(bodies) if output == "json" else as_tables(bodies))
            return
        body = existing(runner, options.target(runner, name, namespace))
    typer.echo(as_json(body) if output == "json" else as_text(body))


def _all(runner: "Runner", namespace: str | None) -> "list[Manifest]":
    """Of the kinds that the user may list; RunnerError where that is none."""
    from flagscale_runner.base import KINDS, NotAllowedError

    bodies, refused = [], []
    for kind in KINDS:
        try:
            bodies += runner.resources(kind, namespace)
        except NotAllowedError as error:
            refused.append(error)
    if len(refused) == len(KINDS):
        raise refused[0]
    for refusal in refused:
        typer.echo(f"flagscale: {refusal}", err=True)
    return bodies


def logs(
    name: options.Name,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it ends.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """What its newest pods have printed."""
    with options.runner(on, context) as runner:
        for line in runner.logs(options.target(runner, name, namespace), follow=follow):
            typer.echo(line)


def explain(
    name: options.Name,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
    output: options.Format = "text",
) -> None:
    """Why it waits or has failed, and what to do next.

    The exit code is 1 when something is wrong.
    """
    from flagscale_runner.cli.show import as_explanation, as_json
    from flagscale_runner.explain.explain import explained
    from flagscale_runner.waiting import existing

    with options.runner(on, context) as runner:
        target = options.target(runner, name, namespace)
        found = explained(existing(runner, target), runner.surroundings(target), where=on)
    typer.echo(as_json(found.as_dict()) if output == "json" else as_explanation(found))
    if not found.healthy:
        raise typer.Exit(options.FAILED)


def doctor(
    on: options.On = "local", context: options.Context = None, output: options.Format = "text"
) -> None:
    """What is missing on this machine, or in the cluster.

    The exit code is 1 when something is.
    """
    from flagscale_runner.cli.show import as_checks, as_json
    from flagscale_runner.doctor.checks import checks_of

    with options.sentences():
        checks = checks_of(on, context)
    typer.echo(as_json([c.as_dict() for c in checks]) if output == "json" else as_checks(checks))
    if any(check.blocks for check in checks):
        raise typer.Exit(options.FAILED)

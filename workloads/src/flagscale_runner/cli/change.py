"""`flagscale suspend`, `resume` and `stop`."""

from flagscale_runner.cli import options


def suspend(
    name: options.Name,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
) -> None:
    """Save a checkpoint and stop; `resume` goes on from there."""
    with options.runner(on, context) as runner:
        runner.suspend(options.target(runner, name, namespace), suspend=True)


def resume(
    name: options.Name,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
) -> None:
    """Go on from the newest checkpoint."""
    with options.runner(on, context) as runner:
        runner.suspend(options.target(runner, name, namespace), suspend=False)


def stop(
    name: options.Name,
    namespace: options.Namespace = None,
    on: options.On = "local",
    context: options.Context = None,
) -> None:
    """End it with all its processes; what it wrote to volumes stays."""
    with options.runner(on, context) as runner:
        runner.stop(options.target(runner, name, namespace))

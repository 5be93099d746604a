"""Waiting for a resource, over any runner."""

import time
from collections.abc import Callable

from flagscale_runner.base import (
    WITHOUT_PODS,
    Manifest,
    Runner,
    RunnerError,
    Target,
    is_settled,
)


def wait_until_settled(
    runner: Runner,
    target: Target,
    on_change: Callable[[Manifest], None],
    *,
    poll_s: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> Manifest:
    """See `Runner.wait`; `meanwhile` is called between two looks."""
    last: Manifest | None = None
    while True:
        body = runner.status(target)
        if body is None:
            raise RunnerError(f"{target}: was stopped meanwhile")
        if body != last:
            on_change(body)
            last = body
        if is_settled(body):
            return body
        meanwhile()
        time.sleep(poll_s)


def existing(runner: Runner, target: Target) -> Manifest:
    """The resource; RunnerError when it is not there."""
    body = runner.status(target)
    if body is None:
        raise RunnerError(f"{target}: is not there; `flagscale status` lists what is")
    return body


def with_pods(runner: Runner, target: Target) -> Manifest:
    """The resource; RunnerError also when it is of a kind that has no pods."""
    if target.kind in WITHOUT_PODS:
        raise RunnerError(
            f"{target}: has no pods, so no log; `flagscale explain {target.name}` tells its state"
        )
    return existing(runner, target)

"""A watched kind that goes away: the work begins again, anything else is raised."""

from collections.abc import Awaitable, Callable

import pytest

from flagscale_operator.edge.relisting import WatchedKindGoneError, relisting, watched


class RefusedError(Exception):
    """As Kopf raises it: with the status of the API server's answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} page not found")
        self.status = status


async def refuse(status: int) -> None:
    raise RefusedError(status)


async def no_wait(_: float) -> None:
    """No test waits."""


def failing_first(error: Exception, told: list[str]) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        told.append("work")
        if told.count("work") == 1:
            raise error

    return work


async def test_a_kind_that_is_no_longer_served_is_told_from_other_refusals() -> None:
    with pytest.raises(WatchedKindGoneError, match="no longer served, got 404"):
        await watched(refuse(404))
    with pytest.raises(RefusedError):
        await watched(refuse(403))


async def test_work_begins_again_when_a_kind_is_gone() -> None:
    told: list[str] = []
    work = failing_first(WatchedKindGoneError("gone"), told)

    await relisting(work, before_again=lambda: told.append("again"), sleep=no_wait)

    assert told == ["work", "again", "work"]


async def test_any_other_failure_ends_the_work() -> None:
    told: list[str] = []

    with pytest.raises(RefusedError):
        await relisting(
            failing_first(RefusedError(403), told),
            before_again=lambda: told.append("again"),
            sleep=no_wait,
        )
    assert told == ["work"]

"""Builds one image while the one before is delivered: building computes, delivering copies."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Built = TypeVar("Built")


def pipelined(
    items: Iterable[Item], build: Callable[[Item], Built], deliver: Callable[[Built], None]
) -> Iterator[Built]:
    """What was built and delivered, in order; nothing is delivered while the caller has one.

    Raises:
        Exception: what `build` or `deliver` raised; nothing is begun after it.
    """
    with ThreadPoolExecutor(1) as beside:
        before: tuple[Built, Future[None]] | None = None
        for built in map(build, items):
            if before:
                before[1].result()
                yield before[0]
            before = (built, beside.submit(deliver, built))
        if before:
            before[1].result()
            yield before[0]

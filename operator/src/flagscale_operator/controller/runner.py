"""Workers: take a key, reconcile it, and let the class of an error decide about the retry."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.errors import ApiError, InvalidSpecError, TransientError

_log = logging.getLogger(__name__)
Reconcile = Callable[[Key], Awaitable[float | None]]


class ReconcileObserver(Protocol):
    """What workers tell about themselves (controller-runtime's metrics)."""

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """One run ended with `success`, `requeue_after`, `requeue` or `error`."""


async def _run_one(
    key: Key, reconcile: Reconcile, queue: KeyedQueue, observer: ReconcileObserver
) -> None:
    started, result = time.perf_counter(), "error"
    try:
        requeue_after_s = await reconcile(key)
        queue.forget(key)
        result = "success"
        if requeue_after_s is not None:
            result = "requeue_after"
            queue.add_after(key, requeue_after_s)
    except TransientError as error:
        delay_s = queue.retry(key, after_s=error.retry_after_s)
        _log.warning("%s; trying again in %.1f s", error, delay_s)
    except ApiError as error:
        # 409: somebody was faster, and the news is on its way.
        delay_s = queue.retry(key, after_s=1.0 if error.conflict else None)
        _log.warning("%s; trying again in %.1f s", error, delay_s)
    except InvalidSpecError as error:
        queue.forget(key)
        _log.warning("%s; waiting for a change", error)
    except Exception:  # noqa: BLE001 - logged, counted as an error, and tried again
        # A bug: one object's, so it must not take the others down.
        delay_s = queue.retry(key)
        _log.exception("bug while reconciling; trying again in %.1f s", delay_s)
    finally:
        observer.reconciled(key.kind, result, time.perf_counter() - started)


async def run_workers(
    queue: KeyedQueue,
    reconcile: Reconcile,
    *,
    workers: int,
    observer: ReconcileObserver,
) -> None:
    """Work until the queue is closed; keys in hand are finished first."""

    async def work() -> None:
        while (key := await queue.take()) is not None:
            try:
                await _run_one(key, reconcile, queue, observer)
            finally:
                queue.done(key)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())


RESYNC_S = 600.0


async def resync(
    queue: KeyedQueue,
    list_keys: Callable[[], list[Key]],
    *,
    period_s: float = RESYNC_S,
    jitter: Callable[[], float] = random.random,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look at every object once per period, spread over it: heals whatever a watch has missed."""
    while True:
        await sleep(period_s * (0.9 + 0.2 * jitter()))
        for key in list_keys():
            queue.add_after(key, period_s / 10 * jitter())

"""A kind that is taken away in mid-watch costs a new list of everything, not the process.

Kopf ends a watch whose kind is no longer served once it has noticed; when the API server closes the
stream first, the next request is a 404, which Kopf passes up as fatal. Starting over is what a
restarted process would do, without its back-off: the kinds that are not served are left out, and a
new view can't hold objects whose deletion nobody saw.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from flagscale_operator.errors import FlagScaleError

_log = logging.getLogger(__name__)
RELIST_AFTER_S = 1.0


class WatchedKindGoneError(FlagScaleError):
    """The API server no longer serves a kind that is watched."""


async def watched(informer: Awaitable[None]) -> None:
    """Run an informer.

    Raises:
        WatchedKindGoneError: instead of Kopf's private error class for a 404.
    """
    try:
        await informer
    except Exception as error:
        if getattr(error, "status", None) != HTTPStatus.NOT_FOUND:
            raise
        msg = f"watch: a kind is no longer served, got {error}; everything is listed anew"
        raise WatchedKindGoneError(msg) from error


async def relisting(
    work: Callable[[], Awaitable[None]],
    *,
    before_again: Callable[[], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Do the work, from its beginning again whenever a watched kind is gone."""
    while True:
        try:
            return await work()
        except WatchedKindGoneError as error:
            _log.warning("%s", error)
            before_again()
            await sleep(RELIST_AFTER_S)

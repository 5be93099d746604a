"""Telling the operator how much is asked, so that it changes the number of engines."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from flagscale_api.runtime.serve import LoadReportSpec
from flagscale_workloads.serve.dispatch import Dispatcher

_log = logging.getLogger(__name__)
SAMPLE_S: Final = 0.1
BUSY_INTERVAL_S: Final = 1.0
IDLE_INTERVAL_S: Final = 5.0
TIMEOUT_S: Final = 3.0
COMPLAIN_EVERY_S: Final = 60.0
OK: Final = 200


@dataclass(slots=True)
class LoadMeter:
    """Running and waiting requests, averaged between reports; decides when one is due."""

    sum: float = 0.0
    samples: int = 0
    reported_at: float = float("-inf")
    was_busy: bool = False
    was_starved: bool = False

    def sample(self, requests: int, *, starved: bool, now: float) -> bool:
        """Take a sample; whether a report is due: at once when the first request waits."""
        self.sum += requests
        self.samples += 1
        if starved and not self.was_starved:
            return True
        busy = self.sum > 0 or self.was_busy
        return now - self.reported_at >= (BUSY_INTERVAL_S if busy else IDLE_INTERVAL_S)

    def take(self, *, starved: bool, now: float) -> float:
        """The mean since the last report, which begins anew."""
        mean = self.sum / max(1, self.samples)
        self.was_busy, self.was_starved = self.sum > 0, starved
        self.sum, self.samples, self.reported_at = 0.0, 0, now
        return mean


@dataclass(slots=True)
class LoadReporter:
    """Posts the load of a dispatcher; an operator that does not answer changes nothing here."""

    spec: LoadReportSpec
    dispatcher: Dispatcher
    now: Callable[[], float]
    meter: LoadMeter = field(default_factory=LoadMeter)
    _secure: ssl.SSLContext | None = None
    _complained_at: float = float("-inf")

    async def run(self) -> None:
        """Sample and report until cancelled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._sample(session)
                await asyncio.sleep(SAMPLE_S)

    async def _sample(self, session: aiohttp.ClientSession) -> None:
        waiting, starved = self.dispatcher.waiting, self.dispatcher.starved
        requests = self.dispatcher.running + waiting
        if not self.meter.sample(requests, starved=starved, now=self.now()):
            return
        mean = self.meter.take(starved=starved, now=self.now())
        body = {"requests": round(mean, 3), "waiting": waiting if starved else 0}
        try:
            await self._post(session, body)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            # What was not heard is said again, at once.
            self.meter.was_starved = False
            self._secure = None
            self._complain(error)
            await asyncio.sleep(BUSY_INTERVAL_S)

    async def _post(self, session: aiohttp.ClientSession, body: dict[str, float]) -> None:
        secure, headers = self._credentials()
        async with session.post(self.spec.url, json=body, headers=headers, ssl=secure) as answer:
            if answer.status != OK:
                msg = f"status {answer.status}: {(await answer.text())[:300]}"
                raise ValueError(msg)

    def _credentials(self) -> tuple[ssl.SSLContext | bool, dict[str, str]]:
        """Whom to trust, kept while it works, and the token, which Kubernetes rotates."""
        if self._secure is None and self.spec.url.startswith("https:"):
            self._secure = ssl.create_default_context(cafile=self.spec.ca_file)
        token = Path(self.spec.token_file).read_text().strip()
        return self._secure or True, {"Authorization": f"Bearer {token}"}

    def _complain(self, error: Exception) -> None:
        if self.now() - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = self.now()
            _log.warning("load: not taken by %s: %r", self.spec.url, error)

"""What of the tools is in the matchers' indexes: every replica is asked every two seconds."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from pydantic import ValidationError

from flagscale_api.runtime.tool_index import INDEX_PATH, IndexReport
from flagscale_operator.outside.addresses import Resolver, resolve

_log = logging.getLogger(__name__)
PERIOD_S: Final = 2.0
TIMEOUT_S: Final = 5.0
PATIENCE_S: Final = 60.0
"""How long a matcher may be away before tools are no longer said to be in its index."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """One generation of a tool in the indexes."""

    replicas: int
    """Matchers that answered; 0: none has, so nothing is known."""
    having: int
    """Those whose searches see this generation, or a later one."""
    refusing: tuple[str, ...] = ()
    """Those that can't take it."""
    away: bool = False
    """Whether no matcher has answered for long, and not only since the operator's start."""


@dataclass(slots=True)
class _Replica:
    etag: str = ""
    report: IndexReport | None = None
    seen_at: float = 0.0


@dataclass(slots=True)
class MatcherIndex:
    """The newest report of every replica, told to the owner of each tool that it changes for."""

    url: str
    """Headless Service of the matchers; empty: there are none."""
    on_change: Callable[[set[str]], None]
    """Told the uids of tools about which something is new."""
    resolver: Resolver = resolve
    clock: Callable[[], float] = field(default=lambda: asyncio.get_running_loop().time())
    _replicas: dict[str, _Replica] = field(default_factory=dict)
    _last_seen_at: float | None = None

    def of(self, uid: str, generation: int) -> Indexed:
        """How far the tool of that uid has come."""
        reports = [one.report for one in self._replicas.values() if one.report]
        return Indexed(
            replicas=len(reports),
            having=sum(report.tools.get(uid, 0) >= generation for report in reports),
            refusing=tuple(
                sorted(r.replica for r in reports if r.refused.get(uid, 0) >= generation)
            ),
            away=not reports and self._quiet_s() > PATIENCE_S,
        )

    def _quiet_s(self) -> float:
        return self.clock() - self._last_seen_at if self._last_seen_at is not None else 0.0

    async def run(self) -> None:
        """Ask until cancelled."""
        if not self.url:
            return
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            while True:
                try:
                    await self.look(session)
                except Exception:  # noqa: BLE001 - logged
                    # A bug must not end what nobody would start again.
                    _log.exception("the matchers' indexes could not be read")
                await asyncio.sleep(PERIOD_S)

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Ask every replica once."""
        if self._last_seen_at is None:
            self._last_seen_at = self.clock()
        parts = urlsplit(self.url)
        port = parts.port or 80
        try:
            found = {str(one) for one in await self.resolver(parts.hostname or "", port)}
        except OSError:
            found = set()
        hosts = {host: f"[{host}]" if ":" in host else host for host in found}
        await asyncio.gather(
            *(self._ask(session, host, f"http://{at}:{port}") for host, at in hosts.items())
        )
        seen = [one.seen_at for one in self._replicas.values()]
        self._last_seen_at = max(seen, default=self._last_seen_at)
        late = self.clock() - PATIENCE_S
        for host, replica in list(self._replicas.items()):
            # A replica that has gone counts no longer as soon as another one answers.
            if replica.seen_at < late or (found and host not in found):
                del self._replicas[host]
                self._tell(replica.report, None)

    async def _ask(self, session: aiohttp.ClientSession, host: str, url: str) -> None:
        known = self._replicas.get(host) or _Replica()
        headers = {"If-None-Match": known.etag} if known.etag else {}
        try:
            async with session.get(url + INDEX_PATH, headers=headers) as response:
                if response.status == 304:
                    known.seen_at = self.clock()
                    return
                response.raise_for_status()
                report = IndexReport.model_validate_json(await response.read())
                etag = response.headers.get("ETag", "")
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError) as error:
            _log.debug("matcher %s: %s", host, error)
            return
        before, self._replicas[host] = known.report, _Replica(etag, report, self.clock())
        self._tell(before, report)

    def _tell(self, before: IndexReport | None, after: IndexReport | None) -> None:
        changed: set[str] = set()
        for field_name in ("tools", "refused"):
            old: Mapping[str, int] = getattr(before, field_name, {})
            new: Mapping[str, int] = getattr(after, field_name, {})
            changed |= {uid for uid, _ in old.items() ^ new.items()}
        if (before is None) != (after is None):
            changed |= {uid for one in (before, after) if one for uid in one.tools}
        if changed:
            self.on_change(changed)

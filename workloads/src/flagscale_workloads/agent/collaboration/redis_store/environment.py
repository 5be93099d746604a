"""Shared values with versions, in Redis."""

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.redis_store.scripts import Part
from flagscale_workloads.agent.collaboration.store import EntryRow, Guard


class RedisEnvironment(Part):
    """Part of the store: `store.Environment`."""

    async def put(
        self,
        key: str,
        value: str,
        writer: str,
        nonce: str,
        *,
        expected: int | None,
        guard: Guard | None,
        limit: int,
    ) -> int:
        """See `store.Environment`."""
        keys = self._keys.of(
            "leases", "sessions", "claims", "counter", "values", "metas", "versions"
        )
        answer = await self.run(
            "put", keys, key, value, writer, nonce, *_conditions(expected, guard), limit
        )
        if answer[0] == "limit":
            raise refusals.limit_reached("environment entries", limit)
        return int(_accepted(answer, key, expected, guard))

    async def delete(self, key: str, *, expected: int | None, guard: Guard | None) -> bool:
        """See `store.Environment`."""
        keys = self._keys.of("leases", "sessions", "claims", "values", "metas", "versions")
        answer = await self.run("delete", keys, key, *_conditions(expected, guard))
        return _accepted(answer, key, expected, guard) == "1"

    async def get(self, key: str) -> EntryRow | None:
        """See `store.Environment`."""
        return next(iter(await self._entries(key, 0, 1)), None)

    async def changes(self, after: int, count: int) -> list[EntryRow]:
        """See `store.Environment`."""
        return await self._entries("", after, count)

    async def _entries(self, key: str, after: int, count: int) -> list[EntryRow]:
        keys = self._keys.of("values", "metas", "versions")
        _, *flat = await self.run("entries", keys, key, after, count)
        rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return [_entry(name, value, meta) for name, value, meta in rows]


def _conditions(expected: int | None, guard: Guard | None) -> tuple[object, object, object]:
    return (
        "" if expected is None else expected,
        guard.resource if guard else "",
        guard.token if guard else 0,
    )


def _accepted(answer: list[str], key: str, expected: int | None, guard: Guard | None) -> str:
    word, value = answer
    if word == "conflict":
        raise refusals.conflict(key, expected or 0, int(value))
    if word == "guarded":
        raise refusals.claim_needed(key, int(value))
    if word == "stale" and guard:
        raise refusals.stale_claim(key, guard.resource, guard.token, int(value))
    return value


def _entry(key: str, value: str, meta: str) -> EntryRow:
    version, token, writer, _ = meta.split(" ")
    return EntryRow(key, value, int(version), writer, int(token))

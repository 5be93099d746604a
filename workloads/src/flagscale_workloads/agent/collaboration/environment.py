"""The shared environment: values with versions, written by compare-and-set or under a claim."""

import json

from flagscale_workloads.agent.collaboration.limits import (
    MAX_INTEGER,
    check_count,
    check_name,
    encode,
)
from flagscale_workloads.agent.collaboration.participant import Participant, new_nonce
from flagscale_workloads.agent.collaboration.store import EntryRow, Guard
from flagscale_workloads.agent.collaboration.values import Claim, Entry, Json


class Environment(Participant):
    """Part of the collaborator: the environment."""

    async def get(self, key: str) -> Entry | None:
        """The entry now."""
        row = await self.store.get(check_name(key, "key"))
        return _entry(row) if row else None

    async def set(
        self, key: str, value: Json, *, expected: int | None = None, claim: Claim | None = None
    ) -> int:
        """Write a value; its version.

        Args:
            key: what is written.
            value: JSON.
            expected: only over this version; 0: only if there is no entry.
            claim: only while it holds. From then on the entry is written under a claim only, and
                never under an older one than its last.

        Raises:
            InvalidInputError: a limit, or a value that is not JSON.
            ConflictError: another version.
            StaleClaimError: the claim has ended, is older, or is missing.
            LimitReachedError: too many entries.
            StoreError: no answer.
        """
        return await self.store.put(
            check_name(key, "key"),
            encode(value, f"environment {key}", self.limits.entry_bytes),
            self.me.name,
            new_nonce(),
            expected=_version(expected),
            guard=_guard(claim),
            limit=self.limits.entries,
        )

    async def delete(
        self, key: str, *, expected: int | None = None, claim: Claim | None = None
    ) -> bool:
        """Remove an entry, on the same conditions; whether there was one.

        Raises:
            ConflictError: another version.
            StaleClaimError: the claim has ended, is older, or is missing.
        """
        return await self.store.delete(
            check_name(key, "key"), expected=_version(expected), guard=_guard(claim)
        )

    async def changes(self, *, after: int = 0, count: int = 100) -> tuple[Entry, ...]:
        """Entries last written after a version, oldest first; those of 0 are all."""
        check_count(count, "count", 1, self.limits.batch)
        rows = await self.store.changes(check_count(after, "after", 0, MAX_INTEGER), count)
        return tuple(_entry(row) for row in rows)


def _version(expected: int | None) -> int | None:
    return None if expected is None else check_count(expected, "expected", 0, MAX_INTEGER)


def _guard(claim: Claim | None) -> Guard | None:
    return Guard(claim.resource, claim.token) if claim else None


def _entry(row: EntryRow) -> Entry:
    return Entry(row.key, json.loads(row.value), row.version, row.writer, row.token)

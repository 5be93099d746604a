"""Streams with groups, in SQLite."""

import asyncio
import time
from typing import Final

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.sqlite_store.agents import Part
from flagscale_workloads.agent.collaboration.sqlite_store.channels import (
    join_channel,
    make_room,
    reports,
)
from flagscale_workloads.agent.collaboration.sqlite_store.database import Transaction
from flagscale_workloads.agent.collaboration.sqlite_store.delivering import anything, deliver, kept
from flagscale_workloads.agent.collaboration.store import GroupRow, MessageRow, Reading

POLL_S: Final = (0.005, 0.05)
"""How often who waits looks: more seldom the longer nothing came."""


class SqliteMessages(Part):
    """Part of the store: `store.Messages`."""

    async def send(
        self, channel: str, sender: str, body: str, key: str, *, length: int, limit: int
    ) -> str:
        """See `store.Messages`."""

        def work(at: Transaction) -> str:
            query = "SELECT id FROM messages WHERE channel = ? AND key = ?"
            known = at.db.execute(query, (channel, key)).fetchone()
            if known:
                return str(known[0])
            join_channel(at, channel, limit)
            make_room(at, channel, length)
            values = (channel, sender, body, key, time.time_ns() // 1_000_000)
            done = at.db.execute(
                "INSERT INTO messages (channel, sender, body, key, sent_at_ms) VALUES (?,?,?,?,?)",
                values,
            )
            return str(done.lastrowid)

        return await self._database.write(work)

    async def subscribe(
        self, channel: str, group: str, *, from_start: bool, limit: int, groups: int
    ) -> bool:
        """See `store.Messages`."""

        def work(at: Transaction) -> bool:
            join_channel(at, channel, limit)
            known = [row[0] for row in _readers(at, channel)]
            if group in known:
                return False
            if len(known) >= groups:
                raise refusals.limit_reached("groups of the channel", groups)
            newest = "SELECT COALESCE(MAX(id), 0) FROM messages WHERE channel = ?"
            (last,) = (0,) if from_start else at.db.execute(newest, (channel,)).fetchone()
            at.db.execute("INSERT INTO readers VALUES (?, ?, ?)", (channel, group, last))
            return True

        return await self._database.write(work)

    async def unsubscribe(self, channel: str, group: str) -> bool:
        """See `store.Messages`."""

        def work(at: Transaction) -> bool:
            at.db.execute("DELETE FROM pending WHERE channel = ? AND reader = ?", (channel, group))
            query = "DELETE FROM readers WHERE channel = ? AND name = ?"
            return at.db.execute(query, (channel, group)).rowcount > 0

        return await self._database.write(work)

    async def receive(self, reading: Reading, wait_ms: int) -> list[MessageRow]:
        """See `store.Messages`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait_ms / 1000
        pause_s, longest_s = POLL_S
        while True:
            if await self._database.read(lambda at: anything(at, reading)):
                found = await self._database.write(lambda at: deliver(at, reading))
                if found:
                    return found
            left_s = ends - loop.time()
            if left_s <= 0:
                return []
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, longest_s)

    async def ack(self, channel: str, group: str, message_id: str) -> bool:
        """See `store.Messages`."""
        query = "DELETE FROM pending WHERE channel = ? AND reader = ? AND id = ?"
        values = (channel, group, number(message_id))
        return await self._database.write(lambda at: at.db.execute(query, values).rowcount > 0)

    async def replay(self, channel: str, after: str, count: int) -> list[MessageRow]:
        """See `store.Messages`."""
        return await self._database.read(lambda at: kept(at, channel, number(after), count))

    async def groups(self, channel: str) -> tuple[int, list[GroupRow]]:
        """See `store.Messages`."""
        return await self._database.read(lambda at: reports(at, channel))

    async def delete_channel(self, channel: str) -> bool:
        """See `store.Messages`."""

        def work(at: Transaction) -> bool:
            for table in ("messages", "readers", "pending"):
                at.db.execute(f"DELETE FROM {table} WHERE channel = ?", (channel,))  # noqa: S608
            gone = at.db.execute("DELETE FROM channels WHERE name = ?", (channel,))
            return gone.rowcount > 0

        return await self._database.write(work)


def number(message_id: str) -> int:
    """An id's number; one of another store orders by its first part."""
    return min(int(message_id.partition("-")[0]), 2**63 - 1)


def _readers(at: Transaction, channel: str) -> list[tuple[str]]:
    return at.db.execute("SELECT name FROM readers WHERE channel = ?", (channel,)).fetchall()

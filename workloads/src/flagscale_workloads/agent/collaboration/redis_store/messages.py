"""Streams with groups, in Redis."""

import asyncio
from typing import Final

from redis.exceptions import ResponseError

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.redis_store.scripts import Part, unavailable
from flagscale_workloads.agent.collaboration.store import GroupRow, MessageRow, Reading

BLOCK_MS: Final = 1000
"""At most so long one read waits; between two, what others left pending is looked at."""
KEPT: Final = 100_000
"""No channel keeps more."""


class RedisMessages(Part):
    """Part of the store: `store.Messages`."""

    async def send(
        self, channel: str, sender: str, body: str, key: str, *, length: int, limit: int
    ) -> str:
        """See `store.Messages`."""
        keys = [self._keys.stream(channel), self._keys.sent(channel), *self._keys.of("channels")]
        word, *rest = await self.run("send", keys, channel, sender, body, key, length, limit)
        if word == "full":
            raise refusals.channel_full(channel, int(rest[0]), rest[1])
        if word == "limit":
            raise refusals.limit_reached("channels", limit)
        return rest[0]

    async def subscribe(
        self, channel: str, group: str, *, from_start: bool, limit: int, groups: int
    ) -> bool:
        """See `store.Messages`."""
        keys = [self._keys.stream(channel), *self._keys.of("channels")]
        start = "0" if from_start else "$"
        word, *rest = await self.run("subscribe", keys, channel, group, start, limit, groups)
        if word == "limit":
            raise refusals.limit_reached(rest[1], int(rest[0]))
        return rest[0] == "1"

    async def unsubscribe(self, channel: str, group: str) -> bool:
        """See `store.Messages`."""
        stream = self._keys.stream(channel)
        try:
            return bool(await self.ask(lambda: self._client.xgroup_destroy(stream, group)))
        except ResponseError as error:
            _only_missing(error)
            return False

    async def receive(self, reading: Reading, wait_ms: int) -> list[MessageRow]:
        """See `store.Messages`."""
        clock = asyncio.get_running_loop()
        ends = clock.time() + wait_ms / 1000
        while True:
            left_ms = int((ends - clock.time()) * 1000)
            try:
                found = await self._left_by_others(reading)
                if not found:
                    block_ms = min(BLOCK_MS, left_ms, max(reading.idle_ms // 2, 1))
                    found = await self._fresh(reading, block_ms)
            except ResponseError as error:
                _only_missing(error)
                raise refusals.not_subscribed(reading.channel, reading.group) from None
            if found or left_ms <= 0:
                return found

    async def ack(self, channel: str, group: str, message_id: str) -> bool:
        """See `store.Messages`."""
        stream = self._keys.stream(channel)
        return bool(await self.ask(lambda: self._client.xack(stream, group, message_id)))

    async def replay(self, channel: str, after: str, count: int) -> list[MessageRow]:
        """See `store.Messages`."""
        stream = self._keys.stream(channel)
        rows = await self.ask(lambda: self._client.xrange(stream, f"({after}", "+", count))
        return [_message(row) for row in rows]

    async def groups(self, channel: str) -> tuple[int, list[GroupRow]]:
        """See `store.Messages`."""
        stream = self._keys.stream(channel)
        length = int(await self.ask(lambda: self._client.xlen(stream)))
        try:
            found = await self.ask(lambda: self._client.xinfo_groups(stream))
        except ResponseError as error:
            _only_missing(error)
            found = []
        rows = [GroupRow(row["name"], int(row["pending"]), int(row["lag"] or 0)) for row in found]
        return length, sorted(rows, key=lambda row: row.name)

    async def delete_channel(self, channel: str) -> bool:
        """See `store.Messages`."""
        keys = [self._keys.stream(channel), self._keys.sent(channel), *self._keys.of("channels")]
        return await self.run("delete_channel", keys, channel) == ["ok", "1"]

    async def _left_by_others(self, reading: Reading) -> list[MessageRow]:
        stream, client = self._keys.stream(reading.channel), self._client
        group, consumer = reading.group, reading.consumer
        claimed = await self.ask(
            lambda: client.xautoclaim(
                stream, group, consumer, reading.idle_ms, start_id="0", count=reading.count
            )
        )
        rows = claimed[1]
        if not rows:
            return []
        first, last = rows[0][0], rows[-1][0]
        pending = await self.ask(
            lambda: client.xpending_range(stream, group, first, last, KEPT, consumername=consumer)
        )
        counts = {one["message_id"]: int(one["times_delivered"]) for one in pending}
        return [_message(row, counts.get(row[0], 2)) for row in rows]

    async def _fresh(self, reading: Reading, block_ms: int) -> list[MessageRow]:
        stream = self._keys.stream(reading.channel)
        answer = await self.ask(
            lambda: self._client.xreadgroup(
                reading.group,
                reading.consumer,
                {stream: ">"},
                count=reading.count,
                block=block_ms if block_ms > 0 else None,
            )
        )
        streams = answer.items() if isinstance(answer, dict) else answer
        return [_message(row, 1) for _, rows in streams for row in rows]


def _message(row: tuple[str, dict[str, str]], deliveries: int = 0) -> MessageRow:
    message_id, fields = row
    sent_at_ms = int(message_id.partition("-")[0])
    return MessageRow(message_id, fields["sender"], fields["body"], sent_at_ms, deliveries)


def _only_missing(error: ResponseError) -> None:
    """Pass over an error that says that a stream or a group does not exist."""
    said = str(error)
    if (
        "NOGROUP" not in said
        and "no such key" not in said
        and "no longer exists" not in said
        and "requires the key" not in said
    ):
        raise unavailable(error) from error

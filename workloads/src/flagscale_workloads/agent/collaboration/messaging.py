"""Messages: at least once, acknowledged, kept for replay, channels of bounded length."""

import json
from typing import Final

from flagscale_workloads.agent.collaboration.limits import (
    WAIT_S,
    check_count,
    check_message_id,
    check_name,
    check_seconds,
    encode,
)
from flagscale_workloads.agent.collaboration.participant import (
    Participant,
    milliseconds,
    new_nonce,
)
from flagscale_workloads.agent.collaboration.store import MessageRow, Reading
from flagscale_workloads.agent.collaboration.values import (
    ChannelReport,
    Delivery,
    GroupReport,
    Json,
    Message,
)

IDLE_S: Final = (0.01, 86_400.0)
FIRST: Final = "0"
"""Before every message."""


class Messaging(Participant):
    """Part of the collaborator: channels. Each group of a channel gets every message."""

    async def send(self, channel: str, body: Json, *, key: str | None = None) -> str:
        """Put a message on a channel; its id, once the store keeps it.

        A `key` of one's own makes the message the same one however often it is sent.

        Raises:
            InvalidInputError: a limit, or a body that is not JSON.
            ChannelFullError: a group holds the channel up.
            LimitReachedError: too many channels.
            StoreError: no answer; the message may be there, or not: send it again with its key.
        """
        own = check_name(key, "key") if key is not None else new_nonce()
        return await self.store.send(
            check_name(channel, "channel"),
            self.me.name,
            encode(body, f"message to {channel}", self.limits.message_bytes),
            f"{self.me.name}/{own}",
            length=self.limits.messages,
            limit=self.limits.channels,
        )

    async def subscribe(
        self, channel: str, group: str | None = None, *, from_start: bool = True
    ) -> bool:
        """Make a group (named like the agent, if not given); whether it is new.

        It gets what the channel keeps now, or only what comes later. From then on the channel
        keeps every message until the group has acknowledged it.

        Raises:
            LimitReachedError: too many channels, or groups of this one.
        """
        return await self.store.subscribe(
            check_name(channel, "channel"),
            self._group(group),
            from_start=from_start,
            limit=self.limits.channels,
            groups=self.limits.groups,
        )

    async def unsubscribe(self, channel: str, group: str | None = None) -> bool:
        """Remove a group, with what it has not acknowledged; whether there was one."""
        return await self.store.unsubscribe(check_name(channel, "channel"), self._group(group))

    async def receive(
        self,
        channel: str,
        group: str | None = None,
        *,
        count: int = 10,
        wait_s: float = 0.0,
        redeliver_after_s: float = 30.0,
    ) -> tuple[Delivery, ...]:
        """Up to `count` messages for this process, none once `wait_s` seconds are over.

        Every message goes to one consumer of the group. One that a consumer has had for
        `redeliver_after_s` seconds without acknowledging it goes to another.

        Raises:
            InvalidInputError: a limit.
            NotSubscribedError: no such group.
            StoreError: no answer.
        """
        me = self.me
        reading = Reading(
            check_name(channel, "channel"),
            self._group(group),
            me.name,
            check_count(count, "count", 1, self.limits.batch),
            milliseconds(check_seconds(redeliver_after_s, "redeliver_after_s", IDLE_S)),
        )
        wait_ms = milliseconds(check_seconds(wait_s, "wait_s", WAIT_S))
        rows = await self.store.receive(reading, wait_ms)
        return tuple(
            Delivery(_message(row, channel), reading.group, row.deliveries) for row in rows
        )

    async def ack(self, delivery: Delivery) -> bool:
        """Done with it, it is never delivered to this group again; whether it was pending."""
        message = delivery.message
        return await self.store.ack(message.channel, delivery.group, message.id)

    async def replay(
        self, channel: str, *, after: str = FIRST, count: int = 100
    ) -> tuple[Message, ...]:
        """What the channel keeps after an id, acknowledged or not; changes no group."""
        rows = await self.store.replay(
            check_name(channel, "channel"),
            check_message_id(after),
            check_count(count, "count", 1, self.limits.batch),
        )
        return tuple(_message(row, channel) for row in rows)

    async def channel(self, channel: str) -> ChannelReport:
        """Its length, and how far each group is."""
        length, rows = await self.store.groups(check_name(channel, "channel"))
        groups = tuple(GroupReport(row.name, row.pending, row.waiting) for row in rows)
        return ChannelReport(channel, length, groups)

    async def delete_channel(self, channel: str) -> bool:
        """Remove it with its messages and groups; whether there was one."""
        return await self.store.delete_channel(check_name(channel, "channel"))

    def _group(self, group: str | None) -> str:
        return check_name(group, "group") if group is not None else self.me.name


def _message(row: MessageRow, channel: str) -> Message:
    return Message(row.id, channel, row.sender, json.loads(row.body), row.sent_at_ms / 1000)

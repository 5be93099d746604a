"""Channels of bounded length, in SQLite."""

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.sqlite_store.database import Transaction
from flagscale_workloads.agent.collaboration.store import GroupRow


def join_channel(at: Transaction, channel: str, limit: int) -> None:
    """Make a channel unless there is one.

    Raises:
        LimitReachedError: there are as many as may be.
    """
    if at.db.execute("SELECT 1 FROM channels WHERE name = ?", (channel,)).fetchone():
        return
    (count,) = at.db.execute("SELECT COUNT(*) FROM channels").fetchone()
    if count >= limit:
        raise refusals.limit_reached("channels", limit)
    at.db.execute("INSERT INTO channels VALUES (?)", (channel,))


def make_room(at: Transaction, channel: str, length: int) -> None:
    """Drop the oldest messages that no group needs, until one more fits.

    Raises:
        ChannelFullError: a group needs one of them.
    """
    kept = _length(at, channel)
    excess = kept - length + 1
    if excess <= 0:
        return
    newest_to_go = "SELECT id FROM messages WHERE channel = ? ORDER BY id LIMIT 1 OFFSET ?"
    (last,) = at.db.execute(newest_to_go, (channel, excess - 1)).fetchone()
    needing = at.db.execute(
        "SELECT name FROM readers r WHERE channel = ?1 AND (last < ?2 OR EXISTS "
        "(SELECT 1 FROM pending p WHERE p.channel = ?1 AND p.reader = r.name AND p.id <= ?2))",
        (channel, last),
    ).fetchone()
    if needing:
        raise refusals.channel_full(channel, kept, needing[0])
    at.db.execute("DELETE FROM messages WHERE channel = ? AND id <= ?", (channel, last))


def check_group(at: Transaction, channel: str, group: str) -> int:
    """The last message that was delivered to a group.

    Raises:
        NotSubscribedError: no such group.
    """
    query = "SELECT last FROM readers WHERE channel = ? AND name = ?"
    row = at.db.execute(query, (channel, group)).fetchone()
    if row is None:
        raise refusals.not_subscribed(channel, group)
    return int(row[0])


def reports(at: Transaction, channel: str) -> tuple[int, list[GroupRow]]:
    """A channel's length and groups, by name."""
    rows = at.db.execute(
        "SELECT name, (SELECT COUNT(*) FROM pending p WHERE p.channel = r.channel "
        "AND p.reader = r.name), (SELECT COUNT(*) FROM messages m WHERE m.channel = r.channel "
        "AND m.id > r.last) FROM readers r WHERE channel = ? ORDER BY name",
        (channel,),
    )
    return _length(at, channel), [GroupRow(*row) for row in rows]


def _length(at: Transaction, channel: str) -> int:
    query = "SELECT COUNT(*) FROM messages WHERE channel = ?"
    return int(at.db.execute(query, (channel,)).fetchone()[0])

"""Messages handed to consumers, in SQLite."""

from typing import Final

from flagscale_workloads.agent.collaboration.sqlite_store.channels import check_group
from flagscale_workloads.agent.collaboration.sqlite_store.database import Transaction
from flagscale_workloads.agent.collaboration.store import MessageRow, Reading

_AFTER: Final = (
    "SELECT id, sender, body, sent_at_ms, ? FROM messages "
    "WHERE channel = ? AND id > ? ORDER BY id LIMIT ?"
)
_LEFT: Final = (
    "SELECT m.id, m.sender, m.body, m.sent_at_ms, p.deliveries + 1 "
    "FROM pending p JOIN messages m ON m.id = p.id "
    "WHERE p.channel = ? AND p.reader = ? AND p.at_ms <= ? ORDER BY p.id LIMIT ?"
)
Row = tuple[int, str, str, int, int]


def kept(at: Transaction, channel: str, after: int, count: int) -> list[MessageRow]:
    """Messages after an id, for no group."""
    return [_message(row) for row in at.db.execute(_AFTER, (0, channel, after, count))]


def anything(at: Transaction, reading: Reading) -> bool:
    """Whether there is something to hand out; takes no lock.

    Raises:
        NotSubscribedError: no such group.
    """
    return bool(_left(at, reading, 1) or _fresh(at, reading, 1))


def deliver(at: Transaction, reading: Reading) -> list[MessageRow]:
    """Hand out what others left too long; if there is none, what is new.

    Raises:
        NotSubscribedError: no such group.
    """
    left = _left(at, reading, reading.count)
    rows = left or _fresh(at, reading, reading.count)
    who = (reading.channel, reading.group)
    for row in rows:
        at.db.execute(
            "REPLACE INTO pending (channel, reader, id, consumer, at_ms, deliveries) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (*who, row[0], reading.consumer, at.now_ms, row[4]),
        )
    if rows and not left:
        query = "UPDATE readers SET last = ? WHERE channel = ? AND name = ?"
        at.db.execute(query, (rows[-1][0], *who))
    return [_message(row) for row in rows]


def _left(at: Transaction, reading: Reading, count: int) -> list[Row]:
    since_ms = at.now_ms - reading.idle_ms
    values = (reading.channel, reading.group, since_ms, count)
    return at.db.execute(_LEFT, values).fetchall()


def _fresh(at: Transaction, reading: Reading, count: int) -> list[Row]:
    last = check_group(at, reading.channel, reading.group)
    return at.db.execute(_AFTER, (1, reading.channel, last, count)).fetchall()


def _message(row: Row) -> MessageRow:
    message_id, sender, body, sent_at_ms, deliveries = row
    return MessageRow(str(message_id), sender, body, sent_at_ms, deliveries)

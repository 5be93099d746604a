"""Tables of the embedded store."""

import sqlite3
from typing import Final

TABLES: Final = """
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1),
    boot TEXT NOT NULL, counter INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS agents (name TEXT PRIMARY KEY, session INTEGER NOT NULL,
    nonce TEXT NOT NULL, record TEXT NOT NULL, ends_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (resource TEXT PRIMARY KEY, token INTEGER NOT NULL,
    session INTEGER NOT NULL, holder TEXT NOT NULL, ends_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS environment (key TEXT PRIMARY KEY, value TEXT NOT NULL,
    version INTEGER NOT NULL UNIQUE, token INTEGER NOT NULL, writer TEXT NOT NULL,
    nonce TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS channels (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL,
    sender TEXT NOT NULL, body TEXT NOT NULL, key TEXT NOT NULL, sent_at_ms INTEGER NOT NULL,
    UNIQUE (channel, key));
CREATE INDEX IF NOT EXISTS messages_of_channel ON messages (channel, id);
CREATE TABLE IF NOT EXISTS readers (channel TEXT, name TEXT, last INTEGER NOT NULL,
    PRIMARY KEY (channel, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (channel TEXT, reader TEXT, id INTEGER,
    consumer TEXT NOT NULL, at_ms INTEGER NOT NULL, deliveries INTEGER NOT NULL,
    PRIMARY KEY (channel, reader, id)) WITHOUT ROWID;
"""


def prepare(db: sqlite3.Connection, boot: str) -> None:
    """Make the tables; after a reboot every lease has ended, and the clock starts anew."""
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";"):
        db.execute(statement)
    row = db.execute("SELECT boot FROM state").fetchone()
    if row is None:
        db.execute("INSERT INTO state VALUES (1, ?, 0)", (boot,))
    elif row[0] != boot:
        db.execute("UPDATE state SET boot = ?", (boot,))
        db.execute("DELETE FROM agents")
        db.execute("DELETE FROM claims")
        db.execute("UPDATE pending SET at_ms = ?", (-(2**53),))
    db.execute("COMMIT")

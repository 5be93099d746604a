"""A store is opened by many at once."""

import asyncio
import sqlite3
from pathlib import Path

from flagscale_workloads.agent.collaboration import AgentInfo, Collaborator, open_store


async def test_of_many_who_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    stores = await asyncio.gather(*(open_store(f"file:{tmp_path}/new") for _ in range(16)))
    agents = [Collaborator(store) for store in stores]

    await asyncio.gather(*(one.register(AgentInfo(f"a{i}")) for i, one in enumerate(agents)))

    assert len(await agents[0].agents()) == 16
    for store in stores:
        await store.close()


async def test_who_opens_a_file_waits_for_whoever_holds_its_lock(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "default.sqlite", isolation_level=None)
    other.execute("CREATE TABLE theirs (x)")
    other.execute("BEGIN IMMEDIATE")

    opening = asyncio.create_task(open_store(f"file:{tmp_path}"))
    # As its journal is not yet a write-ahead log, SQLite itself would not wait.
    assert not (await asyncio.wait({opening}, timeout=0.5))[0]
    other.execute("COMMIT")
    await (await opening).close()
    other.close()

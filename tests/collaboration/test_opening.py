"""A store is opened by many at once."""

import asyncio
from pathlib import Path

from flagscale_workloads.agent.collaboration import AgentInfo, Collaborator, open_store


async def test_of_many_who_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    stores = await asyncio.gather(*(open_store(f"file:{tmp_path}/new") for _ in range(16)))
    agents = [Collaborator(store) for store in stores]

    await asyncio.gather(*(one.register(AgentInfo(f"a{i}")) for i, one in enumerate(agents)))

    assert len(await agents[0].agents()) == 16
    for store in stores:
        await store.close()

"""Both stores, each test in a namespace of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from support.teams import Team
from support.valkey import Valkey

STORES = ("redis", "sqlite")
NAMESPACES = count()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One server for all tests that leave it alone."""
    server = Valkey(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.stop()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the store of this test is."""
    if request.param == "redis":
        server: Valkey = request.getfixturevalue("valkey")
        return server.url
    return f"file:{tmp_path}"


@pytest.fixture
def namespace() -> str:
    """That no other test has."""
    return f"test-{next(NAMESPACES)}"


@pytest.fixture
async def team(url: str, namespace: str) -> AsyncIterator[Team]:
    """Who works together in a test."""
    async with AsyncExitStack() as stack:
        yield Team(url, namespace, stack)

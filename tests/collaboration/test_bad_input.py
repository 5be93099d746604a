"""What is wrong with an input is said before the store hears of it."""

import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.agent.collaboration import (
    AgentInfo,
    Collaborator,
    InvalidInputError,
    Limits,
    StoreError,
    open_store,
)
from flagscale_workloads.agent.collaboration.limits import NAME, check_name, encode
from support.teams import Team
from support.valkey import Valkey

Call = Callable[[Collaborator], Awaitable[Any]]
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
CALLS: dict[str, tuple[Call, str]] = {
    "empty name": (lambda c: c.claim(""), "resource: no name, got ''"),
    "name with a space": (lambda c: c.send("a b", 1), "channel: no name, got 'a b'"),
    "name with a line": (lambda c: c.get("a\nb"), r"key: no name, got 'a\\nb'"),
    "long name": (lambda c: c.subscribe("x" * 129), "channel: no name"),
    "no text": (lambda c: c.claim(7), "resource: no name, got 7"),  # type: ignore[arg-type]
    "brace": (lambda c: c.receive("x{y}"), "channel: no name"),
    "not JSON": (lambda c: c.send("x", {1, 2}), "message to x: not JSON, got set"),
    "not a number": (lambda c: c.set("x", math.nan), "environment x: not JSON"),
    "half a character": (lambda c: c.send("x", "\ud800"), "message to x: not JSON"),
    "too deep": (lambda c: c.send("x", DEEP), "message to x: not JSON, got list"),
    "long message": (lambda c: c.send("x", "y" * 70_000), "got 70002 bytes; send at most 65536"),
    "long entry": (lambda c: c.set("x", "y" * 70_000), "environment x: too long"),
    "negative wait": (lambda c: c.claim("x", wait_s=-1), "wait_s: out of range, got -1"),
    "endless wait": (lambda c: c.receive("x", wait_s=math.inf), "wait_s: out of range, got inf"),
    "no lease": (lambda c: c.register(AgentInfo("x"), lease_s=0), "lease_s: out of range, got 0"),
    "long lease": (lambda c: c.register(AgentInfo("x"), lease_s=1e9), "use 0.1 to 3600 seconds"),
    "no time": (lambda c: c.claim("x", at_most_s=True), "at_most_s: out of range, got True"),
    "huge count": (lambda c: c.receive("x", count=10**6), "count: out of range, got 1000000"),
    "no count": (lambda c: c.replay("x", count=0), "count: out of range, got 0"),
    "no id": (lambda c: c.replay("x", after="$"), r"message id: malformed, got '\$'"),
    "negative version": (lambda c: c.set("x", 1, expected=-1), "expected: out of range, got -1"),
    "huge version": (lambda c: c.changes(after=2**60), "after: out of range"),
    "no agent": (lambda c: c.register(AgentInfo("")), "agent: no name, got ''"),
    "no URL": (lambda c: c.register(AgentInfo("x", url="ftp://y")), "not the URL of a service"),
    "user in URL": (lambda c: c.register(AgentInfo("x", url="http://u:p@y")), "without user"),
    "long record": (lambda c: c.register(AgentInfo("x", "y" * 20_000)), "agent x: too long"),
    "odd record": (lambda c: c.register(AgentInfo("x", details=[])), "wrong type"),  # type: ignore[arg-type]
    "odd details": (lambda c: c.register(AgentInfo("x", details={"y": b""})), "not JSON"),
}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", CALLS)
async def test_a_bad_argument_is_named(team: Team, case: str) -> None:
    call, said = CALLS[case]
    agent = await team.agent("agent")

    with pytest.raises(InvalidInputError, match=said) as refused:
        await call(agent)

    assert len(str(refused.value)) < 400
    assert len(await agent.agents()) == 1


async def test_who_is_not_registered_only_looks(team: Team) -> None:
    observer = await team.observer()
    for call in (observer.claim("x"), observer.send("x", 1), observer.set("x", 1)):
        with pytest.raises(InvalidInputError, match="not registered"):
            await call
    assert await observer.get("x") is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "got scheme ''"),
        ("http://x", "got scheme 'http'"),
        ("file:", "got scheme 'file'"),
        ("file://host/x", "got scheme 'file'"),
    ],
)
async def test_a_url_of_no_store_is_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        await open_store(url)


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a" * 64, "../x", "a}b"])
async def test_a_namespace_is_one_as_in_kubernetes(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="namespace: no name"):
        await open_store(f"file:{tmp_path}", name)


async def test_no_password_is_shown(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await open_store("ftp://user:secret@host")
    assert "secret" not in str(refused.value)


async def test_a_server_that_forgets_is_refused(tmp_path: Path) -> None:
    lax = ("--appendonly", "yes", "--appendfsync", "everysec")
    server = Valkey(tmp_path, lax).start()
    try:
        with pytest.raises(StoreError, match="may lose what it acknowledges, got appendfsync ever"):
            await open_store(server.url)
        accepted = await open_store(server.url, durable=False)
        await accepted.close()
    finally:
        server.stop()


async def test_a_server_with_a_password_wants_it(tmp_path: Path) -> None:
    server = Valkey(tmp_path, (*Valkey(tmp_path).arguments, "--requirepass", "s3cret")).start()
    try:
        for wrong in ("", "other"):
            with pytest.raises(StoreError, match="does not let us in") as refused:
                await open_store(server.url, password=wrong)
            assert "s3cret" not in str(refused.value)
        store = await open_store(server.url, password="s3cret")
        assert await store.agents() == []
        await store.close()
    finally:
        server.stop()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "default.sqlite").write_bytes(b"no database" * 100)

    with pytest.raises(StoreError, match=r"default\.sqlite: did not do it"):
        await open_store(f"file:{tmp_path}")


def test_limits_beyond_what_a_store_can_do_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"limits\.messages: out of range"):
        Collaborator(None, Limits(messages=10**7))  # type: ignore[arg-type]


@given(st.text(max_size=140))
def test_a_name_is_taken_as_it_is_or_refused(text: str) -> None:
    if NAME.fullmatch(text):
        assert check_name(text, "x") == text
    else:
        with pytest.raises(InvalidInputError):
            check_name(text, "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.integers(1, 200))
def test_no_value_is_longer_than_its_limit(value: object, limit: int) -> None:
    try:
        text = encode(value, "x", limit)
    except InvalidInputError as error:
        assert str(error).startswith("x: ")  # noqa: PT017
    else:
        assert len(text.encode()) <= limit

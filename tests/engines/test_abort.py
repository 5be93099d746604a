"""Requests whose client has gone must not keep the engine busy; metrics say so."""

import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from flagscale_workloads.backends.adapter import METRIC_KINDS
from support.engine_process import wait_until

from .conftest import EVERY, SERVED, Served, engines

LONG: Mapping[str, Any] = {"model": SERVED, "prompt": "The", "max_tokens": 1800, "temperature": 0}
# SGLang looks every four seconds whether the client of a request that isn't streamed is there.
ABORT_TIMEOUT_S = 15.0


def seconds_of(engine: Served, **more: object) -> float:
    begun = time.monotonic()
    engine.client.completions.create(**{**LONG, **more})
    return time.monotonic() - begun


def seconds_of_the_whole(engine: Served) -> float:
    """What the long request would take, by a shorter one."""
    return seconds_of(engine, max_tokens=100) / 100 * 1800


def wait_running(engine: Served, count: int) -> None:
    def reached() -> bool:
        return engine.metric("running") == count

    wait_until(reached, timeout_s=ABORT_TIMEOUT_S, what=f"{count} running requests")


def begin_and_hang_up(
    engine: Served, path: str = "/v1/completions", fields: Mapping[str, object] = LONG
) -> None:
    """A request that isn't streamed, whose connection is closed while it runs."""
    body = json.dumps(fields).encode()
    where = urlsplit(engine.process.url)
    head = f"POST {path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(head.encode() + body)
        wait_running(engine, 1)


def stream_and_hang_up(engine: Served) -> None:
    stream = engine.client.completions.create(**LONG, stream=True)
    next(iter(stream))
    stream.close()


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_an_abandoned_request_is_aborted_where_claimed(engine: Served, streamed: bool) -> None:  # noqa: FBT001
    if not engine.claims("abort"):
        # Nothing can be seen from outside but that there is room again: see the next test.
        assert engine.adapter.metrics_path is None
        return
    whole_s = seconds_of_the_whole(engine)
    begun = time.monotonic()
    if streamed:
        stream_and_hang_up(engine)
    else:
        begin_and_hang_up(engine)
    wait_running(engine, 0)
    assert time.monotonic() - begun < whole_s * 0.6


def test_an_abandoned_stream_makes_room_for_the_next_request(engine: Served) -> None:
    whole_s = seconds_of_the_whole(engine)
    stream_and_hang_up(engine)
    assert seconds_of(engine, max_tokens=4) < whole_s / 2


@engines(*EVERY)
def test_every_metric_alias_is_in_a_scrape(engine: Served) -> None:
    if engine.adapter.metrics_path is None:
        assert not engine.adapter.metric_aliases
        return
    assert set(engine.adapter.metric_aliases) <= set(METRIC_KINDS)
    for kind in engine.adapter.metric_aliases:
        assert engine.metric(kind) >= 0


def test_the_token_counters_count(engine: Served) -> None:
    if "generated_tokens" not in engine.adapter.metric_aliases:
        assert engine.adapter.metrics_path is None
        return
    before = engine.metric("prompt_tokens"), engine.metric("generated_tokens")
    usage = engine.client.completions.create(**{**LONG, "max_tokens": 10}).usage
    assert usage

    def counted() -> bool:
        now = engine.metric("prompt_tokens"), engine.metric("generated_tokens")
        return (now[0] - before[0], now[1] - before[1]) == (usage.prompt_tokens, 10)

    wait_until(counted, timeout_s=5, what="the counters")

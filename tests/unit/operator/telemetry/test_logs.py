import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flagscale_operator.telemetry.logs import bound, configure_logging

_log = logging.getLogger("test")


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_names_the_object_that_is_worked_on(output: io.StringIO) -> None:
    with bound(controller="TrainJob", namespace="ns"), bound(name="a", generation=3):
        _log.info("made %s", "it")

    (line,) = lines(output)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info",
        "msg": "made it",
        "logger": "test",
        "controller": "TrainJob",
        "namespace": "ns",
        "name": "a",
        "generation": 3,
    }


def test_fields_end_with_their_block(output: io.StringIO) -> None:
    with bound(name="a"):
        pass
    _log.info("after")

    assert "name" not in lines(output)[0]


async def test_tasks_do_not_see_each_others_fields(output: io.StringIO) -> None:
    async def work(name: str) -> None:
        with bound(name=name):
            await asyncio.sleep(0)
            _log.info(name)

    await asyncio.gather(work("a"), work("b"))

    assert all(line["name"] == line["msg"] for line in lines(output))


def test_a_traceback_stays_on_its_line(output: io.StringIO) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        _log.exception("bug")

    (line,) = lines(output)
    assert "ValueError: boom" in line["error"]


def test_an_unknown_field_is_refused() -> None:
    with (
        pytest.raises(ValueError, match="unknown log field, got \\['body'\\]"),
        bound(body="x"),
    ):
        pass


def test_what_a_server_of_tools_answers_is_no_line_of_ours(output: io.StringIO) -> None:
    logging.getLogger("httpx2").info("HTTP Request: POST http://tools/mcp")
    logging.getLogger("mcp.client").error("Error parsing message")
    _log.info("ours")

    assert [line["msg"] for line in lines(output)] == ["ours"]

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from perf.mock_engine import MODEL, STREAM_CHUNKS
from support.load import Load, drive

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "perf.mock_engine", "--port=0"]
    process = subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = process.stdout.readline().split()[-1]
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert process.wait(5) == 0
    process.stdout.close()


@pytest.mark.parametrize(("stream", "tokens"), [(False, 8), (True, STREAM_CHUNKS)])
async def test_the_mock_answers_in_full(url: str, *, stream: bool, tokens: int) -> None:
    records = await drive(url, Load(100, 0.2, MODEL, arrivals="constant", stream=stream))
    assert {(record.ending, record.tokens) for record in records} == {("done", tokens)}


async def test_the_mock_is_probed_like_an_engine(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        for path, status in {"/health": 200, "/v1/models": 200, "/": 404}.items():
            async with session.get(path) as response:
                assert response.status == status

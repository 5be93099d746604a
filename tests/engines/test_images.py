"""What an engine that draws answers, asked by OpenAI's own client."""

import base64
import io
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from support.engine_process import wait_until
from support.tiny_pipeline import SIDE

from .conftest import SERVED, Served, engines, start
from .test_abort import begin_and_hang_up, wait_running

FOX = "a fox"
# Some seconds of work on a processor.
LONG: dict[str, Any] = {"model": SERVED, "prompt": FOX, "n": 10, "size": "64x64", "steps": 49}

pytestmark = engines("diffusers")


def draw(engine: Served, **fields: Any) -> list[bytes]:
    known = {key: fields.pop(key) for key in ("n", "size") if key in fields}
    answer = engine.client.images.generate(
        model=SERVED, prompt=FOX, response_format="b64_json", **known,
        extra_body={"steps": 2, **fields},
    )  # fmt: skip
    return [base64.b64decode(picture.b64_json or "") for picture in answer.data or []]


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return picture.size


def test_pictures_have_the_number_and_size_that_were_asked_for(engine: Served) -> None:
    assert [size_of(png) for png in draw(engine, n=3, size="32x16")] == [(32, 16)] * 3
    assert [size_of(png) for png in draw(engine)] == [(SIDE, SIDE)]


def test_a_seed_decides_the_picture(engine: Served) -> None:
    assert engine.claims("request_seed")
    assert draw(engine, seed=1) == draw(engine, seed=1)
    assert draw(engine, seed=1) != draw(engine, seed=2)


@pytest.mark.parametrize(
    "fields", [{"size": "33x32"}, {"size": "big"}, {"steps": 999}, {"n": 11}, {"style": "vivid"}]
)
def test_what_can_not_be_drawn_is_refused_by_name(engine: Served, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        draw(engine, **fields)
    assert refused.value.param == next(iter(fields))


def test_an_abandoned_drawing_is_aborted(engine: Served) -> None:
    assert engine.claims("abort")
    begun = time.monotonic()
    engine.process.post("/v1/images/generations", LONG)
    whole_s = time.monotonic() - begun
    begun = time.monotonic()
    begin_and_hang_up(engine, "/v1/images/generations", LONG)
    wait_running(engine, 0)
    assert time.monotonic() - begun < whole_s * 0.6


def test_sigterm_ends_it_with_all_that_it_started(engine: Served, tmp_path: Path) -> None:
    served = start(engine.spec.name, tmp_path)
    try:
        served.wait_ready()
        seconds = served.process.stop(grace_s=served.adapter.stop_grace_s)
        print(f"\ndiffusers: ended {seconds:.1f} s after SIGTERM")
        wait_until(
            lambda: not served.process.family(), timeout_s=5, what="no process is left behind"
        )
    finally:
        served.client.close()
        served.process.kill()

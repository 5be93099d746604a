import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flagscale_workloads.inference.drawing import Drawing
from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.errors import LoadError, RequestError
from flagscale_workloads.inference.folder import Settings
from flagscale_workloads.inference.image_model import ImageModel, pipeline_class
from flagscale_workloads.inference.jobs import Event, Failure, ImageInput, Images, Job
from flagscale_workloads.inference.meters import Meters
from flagscale_workloads.inference.protocol import ImageRequest

from .conftest import NAME


@pytest.fixture
def model(pipeline: Path) -> ImageModel:
    return ImageModel(Settings("diffusers", pipeline, NAME, dtype="float32"))


def picture(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def draw(model: ImageModel, *inputs: ImageInput, batch: int = 8) -> tuple[list[Any], Meters]:
    told: list[list[Event]] = [[] for _ in inputs]
    meters = Meters()
    running = Drawing(model, max_batch=batch, meters=meters)
    for given, events in zip(inputs, told, strict=True):
        running.add(Job(given, events.append))
    while running.waiting or running.running:
        running.step()
    return [event.png if isinstance(event, Images) else event for (event,) in told], meters


def test_a_picture_does_not_depend_on_the_batch(model: ImageModel) -> None:
    fox = ImageInput("a fox", count=2, seed=1, steps=2)
    dog = ImageInput("a dog that sleeps", count=1, seed=9, steps=2)
    other = ImageInput("a dog that sleeps", count=1, seed=9, steps=3)
    calls: list[int] = []
    model.pipeline.unet.register_forward_pre_hook(lambda _, args: calls.append(args[0].shape[0]))
    (foxes, dogs, others), _ = draw(model, fox, dog, other)
    # With guidance each picture takes two rows; the one with other steps is drawn apart.
    assert calls == [6, 6, 2, 2, 2]
    ((alone,),), _ = draw(model, dog)
    ((second,),), _ = draw(model, ImageInput("a fox", count=1, seed=2, steps=2))
    assert np.abs(picture(alone) - picture(dogs[0])).max() <= 1
    assert np.abs(picture(second) - picture(foxes[1])).max() <= 1
    assert np.abs(picture(foxes[0]) - picture(foxes[1])).max() > 20
    assert np.abs(picture(others[0]) - picture(dogs[0])).max() > 1


def test_too_little_memory_makes_smaller_batches(model: ImageModel) -> None:
    def scarce(_: object, args: tuple[Any, ...]) -> None:
        if args[0].shape[0] > limit:
            raise torch.OutOfMemoryError("no memory for so many rows")

    model.pipeline.unet.register_forward_pre_hook(scarce)
    limit = 2
    (drawn,), meters = draw(model, ImageInput("a fox", count=3, seed=1, steps=1))
    assert len(drawn) == 3
    assert meters.registry.get_sample_value("flagscale_engine_images_total") == 3
    limit = 0
    (failed,), _ = draw(model, ImageInput("a fox", count=3, seed=1, steps=1))
    assert isinstance(failed, Failure)
    assert failed.error.code == "out_of_memory"


def test_nothing_is_drawn_any_further_when_nobody_waits(model: ImageModel) -> None:
    events: list[Event] = []
    job = Job(ImageInput("a fox", count=1, seed=1, steps=20), events.append)
    calls: list[None] = []

    def leave_in_the_second_step(*_: object) -> None:
        calls.append(None)
        if len(calls) == 2:
            job.cancel()

    model.pipeline.unet.register_forward_pre_hook(leave_in_the_second_step)
    running = Drawing(model, max_batch=1, meters=Meters())
    running.add(job)
    running.step()
    running.step()
    assert len(calls) == 2
    assert (running.waiting, events) == (0, [])


def test_an_engine_draws(start: Callable[..., InferenceEngine], pipeline: Path) -> None:
    engine = start(pipeline, loader="diffusers")
    request = ImageRequest(model=NAME, prompt="a fox", n=2, size="32x16", seed=3, steps=1)
    given = engine.process_input(request)
    response = engine.process_output(request, given, list(engine.infer(given)))
    shapes = [picture(base64.b64decode(item["b64_json"])).shape for item in response["data"]]
    assert shapes == [(16, 32, 3)] * 2
    with pytest.raises(RequestError, match="multiples of 2"):
        engine.process_input(ImageRequest(model=NAME, prompt="a fox", size="33x16"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"_class_name": ["my_pipeline", "MyPipeline"]}, "code of its own, got my_pipeline"),
        ({"_class_name": "DDIMScheduler"}, "no pipeline of diffusers"),
        ({"unet": ["my_unet", "MyUnet"]}, "code of its own, got my_unet"),
    ],
)
def test_pipelines_with_code_of_their_own_are_refused(
    pipeline: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    index = json.loads((pipeline / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps(index | change))
    with pytest.raises(LoadError, match=told):
        pipeline_class(tmp_path)

"""A pipeline of diffusers: prompts into pictures."""

import inspect
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from flagscale_workloads.inference.errors import LoadError
from flagscale_workloads.inference.folder import Settings, torch_dtype
from flagscale_workloads.inference.jobs import ImageInput

_INDEX: Final = "model_index.json"
_LIBRARIES: Final = ("diffusers", "transformers")


class NobodyWaits(Exception):  # noqa: N818 - not an error
    """All who wanted these pictures have left."""


def pipeline_class(folder: Path) -> Any:  # noqa: ANN401 - one of a hundred classes
    """The class that the folder names. Raises LoadError unless all of it is diffusers' own."""
    import diffusers

    try:
        index: dict[str, Any] = json.loads((folder / _INDEX).read_text())
    except (OSError, ValueError) as error:
        msg = f"model: no readable {_INDEX}, got {folder} ({error}); name a pipeline's folder"
        raise LoadError(msg) from error
    for name, entry in index.items():
        if isinstance(entry, list) and entry[0] not in (None, *_LIBRARIES):
            msg = f"{_INDEX} {name}: code of its own, got {entry[0]}; only {_LIBRARIES} are loaded"
            raise LoadError(msg)
    chosen = index.get("_class_name")
    found = getattr(diffusers, chosen, None) if isinstance(chosen, str) else None
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        msg = f"{_INDEX} _class_name: no pipeline of diffusers, got {chosen}; convert the model"
        raise LoadError(msg)
    return found


class ImageModel:
    """A pipeline that makes several pictures at once; used by one thread only."""

    def __init__(self, settings: Settings) -> None:
        chosen = torch_dtype(settings.dtype)
        self.device = torch.device(settings.device)
        self.pipeline: Any = pipeline_class(settings.model).from_pretrained(
            str(settings.model),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32 if isinstance(chosen, str) else chosen,
        )
        self.pipeline.to(self.device)
        self.pipeline.set_progress_bar_config(disable=True)
        self._tells_steps = "callback_on_step_end" in inspect.signature(self.pipeline).parameters
        self.side_multiple = int(getattr(self.pipeline, "vae_scale_factor", 8))
        self.most_steps = _most_steps(self.pipeline.scheduler)

    def warm_up(self) -> None:
        """A real picture, of one step."""
        one_step = ImageInput("warm up", count=1, seed=0, steps=1)
        self.draw([("warm up", 0)], one_step, wanted=lambda: True)

    def draw(
        self,
        pictures: list[tuple[str, int]],
        parameters: ImageInput,
        *,
        wanted: Callable[[], bool],
    ) -> list[bytes]:
        """PNG of each (prompt, seed); each has random numbers of its own, made on the CPU.

        Raises NobodyWaits after the first step at which they are no longer wanted.
        """

        def after_step(_pipe: object, _step: int, _time: object, state: Any) -> Any:  # noqa: ANN401
            if not wanted():
                raise NobodyWaits
            return state

        generators = [torch.Generator("cpu").manual_seed(seed) for _, seed in pictures]
        asked = {
            "width": parameters.width,
            "height": parameters.height,
            "num_inference_steps": parameters.steps,
            "guidance_scale": parameters.guidance,
            "callback_on_step_end": after_step if self._tells_steps else None,
        }
        with torch.inference_mode():
            drawn = self.pipeline(
                prompt=[prompt for prompt, _ in pictures],
                generator=generators,
                **{name: value for name, value in asked.items() if value is not None},
            )
        return [_png(image) for image in drawn.images]


def _most_steps(scheduler: Any) -> int | None:  # noqa: ANN401 - one of dozens of classes
    """Steps that the noise schedule was made for.

    One less than it has: with an offset, as Stable Diffusion has it, the last is out of its range.
    """
    trained: int | None = getattr(scheduler.config, "num_train_timesteps", None)
    return None if trained is None else max(1, trained - 1)


def _png(image: Any) -> bytes:  # noqa: ANN401 - PIL.Image.Image, where pillow is installed
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()

"""The engine of a service that names none: told by the spec alone, so it is the same each time."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import Field

from flagscale_api.v1alpha1.engine import EngineName, EngineSpec

AUTO: Final = "auto"
CHOSEN_IN_CEL: Final = (
    "(self.engine.name == 'auto' ? (has(self.model.file) ? 'llamacpp' : 'vllm') : self.engine.name)"
)
"""CEL: the engine that a spec comes to; the same as `with_engine`."""


class ChosenEngine(EngineSpec):
    """An engine and its settings; a setting the engine can't honour is refused, never ignored."""

    # As parsed it is never auto: see `with_engine`. The schema says what users may write.
    name: EngineName = Field(
        default="vllm",
        description="The engine; auto: llamacpp for the GGUF file of spec.model.file, vllm for "
        "any other model. status.engine tells which it is.",
        json_schema_extra={"default": AUTO, "enum": [AUTO, *get_args(EngineName)]},
    )


def with_engine(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A spec as written, with a name of its engine."""
    # The API server fills in what is null, too.
    engine, model = spec.get("engine") or {}, spec.get("model")
    if not isinstance(engine, dict) or (engine.get("name") or AUTO) != AUTO:
        return spec
    has_file = isinstance(model, dict) and model.get("file") is not None
    return {**spec, "engine": {**engine, "name": "llamacpp" if has_file else "vllm"}}

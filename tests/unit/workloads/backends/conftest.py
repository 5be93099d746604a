from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.adapter import Launch, Placement
from flagscale_workloads.backends.registry import adapter_of

Launcher = Callable[..., Launch]


def spec(name: str, **fields: Any) -> EngineSpec:
    return EngineSpec.model_validate({"name": name, **fields})


@pytest.fixture
def launch() -> Launcher:
    """The launch of an engine on a device; fields by their names in YAML."""

    def launch(
        name: Any,
        device: Any = "cpu",
        *,
        version: str | None = None,
        stored_dtype: str | None = None,
        **fields: Any,
    ) -> Launch:
        placement = Placement(
            model=Path("/models/m"),
            served_name="served",
            port=8123,
            device=device,
            python=Path("/engine/bin/python"),
            engine_version=version,
            stored_dtype=stored_dtype,
        )
        return adapter_of(name).launch(spec(name, **fields), placement)

    return launch

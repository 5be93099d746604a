"""Real engine processes behind a real gateway, started as `python -m flagscale_workloads.serve`."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flagscale_api.runtime.serve import ServeConfig
from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.serve.service import ServeEngine
from support.gateways import RunningGateway

Serving = Callable[..., AbstractAsyncContextManager[RunningGateway]]


@asynccontextmanager
async def serve_simulators(count: int, **config: Any) -> AsyncIterator[RunningGateway]:
    """A gateway with so many simulators of its own, all ready."""
    settings: dict[str, Any] = {
        "model": {"name": "sim", "path": "/tmp"},
        "engine": {"name": "simulator"},
        "processes": {"count": count},
        "routing": {"policy": "leastOutstanding"},
        "health": {"intervalSeconds": 0.2, "timeoutSeconds": 1, "failures": 2},
    }
    gateway = {"port": 0, "drainTimeoutSeconds": 10} | config.pop("gateway", {})
    parsed = ServeConfig.model_validate(settings | {"gateway": gateway} | config)
    service = ServeEngine(
        parsed,
        adapter_of("simulator"),
        device="cpu",
        python=Path(sys.executable),
        environ=os.environ,
    )
    port = await service.start_service()
    try:
        await service.deploy_model()
        yield RunningGateway(service, port)
    finally:
        await service.stop()


@pytest.fixture
def serving() -> Serving:
    return serve_simulators

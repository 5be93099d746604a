"""What the engine tells of itself, and the faults it takes."""

import time
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flagscale_workloads.inference.simulator.delivery import json_response
from flagscale_workloads.inference.simulator.engine import Engine
from flagscale_workloads.inference.simulator.faults import Faults, FaultScript
from flagscale_workloads.inference.simulator.metrics import EngineCollector, exposition
from flagscale_workloads.inference.simulator.phase import Life
from flagscale_workloads.inference.simulator.requests import parse


class Control:
    """Endpoints that generate nothing."""

    def __init__(
        self, engine: Engine, script: FaultScript, life: Life, *, model: str, request_tokens: int
    ) -> None:
        self._engine = engine
        self._script = script
        self._life = life
        self._model = {
            "id": model,
            "object": "model",
            "created": int(time.time()),
            "owned_by": "simulator",
            "max_model_len": request_tokens,
        }
        self._collector = EngineCollector(engine.snapshot, model=model)

    async def health(self, request: Request) -> Response:
        """200 when ready, 503 before and after."""
        del request
        phase = self._life.phase
        return JSONResponse({"status": phase}, 200 if phase == "ready" else 503)

    async def models(self, request: Request) -> Response:
        """The one model."""
        del request
        return json_response({"object": "list", "data": [self._model]})

    async def metrics(self, request: Request) -> Response:
        """Prometheus's text."""
        del request
        return Response(exposition(self._collector), media_type="text/plain; version=0.0.4")

    async def set_faults(self, request: Request) -> Response:
        """Put other faults in place; `{}` heals. ApiError 400 for what is not a fault."""
        faults = parse(Faults, await request.body())
        self._script.set(faults)
        self._engine.faults_changed()
        return json_response(faults.model_dump())

    async def state(self, request: Request) -> Response:
        """Phase, requests and sums since the start, for tests."""
        del request
        faults = self._script.faults.model_dump(exclude_defaults=True)
        state = asdict(self._engine.snapshot())
        return json_response({"phase": self._life.phase, **state, "faults": faults})

"""The file that a worker pod reads: as with runtime pods, but with nothing that the gateway keeps.

A changed file is a second Ray cluster, so what the gateway checks already (sizes, times,
concurrency) is as wide as it can be here, and its changes roll the gateway alone.
"""

from typing import Final

from flagscale_api.runtime.serve import GatewaySpec, QueueSpec, ServeConfig
from flagscale_operator.kinds.inference_service.names import POD_PORT
from flagscale_operator.kinds.inference_service.serve_config import drain_s, engine_config
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView

WIDEST_BODY_BYTES: Final = 1 << 30
LONGEST_REQUEST_S: Final = 86_400
MOST_REQUESTS: Final = 65_536


def worker_config(service: ServiceView, source: ModelSource, revision: str) -> ServeConfig:
    """One engine behind a door of its own, which its gateway alone is to use."""
    door = GatewaySpec(
        host="0.0.0.0",  # noqa: S104 - within a pod, reached by the gateway
        port=POD_PORT,
        max_body_bytes=WIDEST_BODY_BYTES,
        per_replica_concurrency=MOST_REQUESTS,
        request_timeout_seconds=LONGEST_REQUEST_S,
        drain_timeout_seconds=drain_s(service),
        queue=QueueSpec(size=MOST_REQUESTS, timeout_seconds=3600),
    )
    return engine_config(service, source, revision).model_copy(update={"gateway": door})

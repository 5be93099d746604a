"""serveConfigV2: a string that KubeRay compares letter by letter, so it is always written alike."""

from typing import Any, Final

import yaml

from flagscale_operator.kinds.inference_service.names import POD_PORT
from flagscale_operator.kinds.inference_service.serve_config import ENGINE_STOP_S, drain_s
from flagscale_operator.kinds.inference_service.view import ServiceView

APPLICATION: Final = "engines"
DEPLOYMENT: Final = "Engine"
IMPORT_PATH: Final = "flagscale_workloads.ray_serve.app:app"
HEALTH_PERIOD_S: Final = 5
HEALTH_TIMEOUT_S: Final = 30


def serve_applications(service: ServiceView) -> str:
    """Only what Serve changes in place: engine, model and image are in the worker pods.

    So no change of it can build replicas anew, and it may be sent to an older cluster, too.
    """
    deployment = {
        "name": DEPLOYMENT,
        **_replicas(service.spec.replicas),
        "ray_actor_options": {"num_cpus": 1},
        "health_check_period_s": HEALTH_PERIOD_S,
        "health_check_timeout_s": HEALTH_TIMEOUT_S,
        "graceful_shutdown_timeout_s": drain_s(service) + ENGINE_STOP_S,
    }
    config = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "0.0.0.0", "port": POD_PORT},  # noqa: S104 - within the head pod
        "applications": [
            {
                "name": APPLICATION,
                "route_prefix": "/",
                "import_path": IMPORT_PATH,
                "deployments": [deployment],
            }
        ],
    }
    return yaml.safe_dump(config, sort_keys=True, default_flow_style=False)


def _replicas(wanted: int) -> dict[str, Any]:
    """Ray Serve takes no number 0, but bounds of its own autoscaler that begin there.

    No request passes through Ray, so it has no reason ever to start one by itself.
    """
    if wanted:
        return {"num_replicas": wanted}
    return {
        "autoscaling_config": {"min_replicas": 0, "initial_replicas": 0, "max_replicas": 1},
    }

"""A RayService as in KubeRay's samples: our image, and a Serve application that says hello."""

from typing import Any, Final

import yaml

_CODE: Final = """
from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 1})
class Hello:
    def __call__(self, request) -> str:
        return "hello"


app = Hello.bind()
"""
APPLICATION: Final[dict[str, Any]] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "hello"},
    "data": {"hello.py": _CODE},
}


def _template(image: str) -> dict[str, Any]:
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    mounts = [{"name": "code", "mountPath": "/code"}, {"name": "tmp", "mountPath": "/tmp"}]
    names = {"USER": "bench", "PYTHONPATH": "/code", "RAY_USAGE_STATS_ENABLED": "0"}
    probe = {"periodSeconds": 2, "failureThreshold": 60}
    container = {
        "name": "ray",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": restricted,
        "env": [{"name": name, "value": value} for name, value in names.items()],
        "volumeMounts": mounts,
        # The image has no wget, which KubeRay's own probes need.
        "livenessProbe": {"tcpSocket": {"port": 52365}, **probe},
    }
    volumes = [
        {"name": "code", "configMap": {"name": "hello"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return {"spec": {"containers": [container], "volumes": volumes}}


def bare_ray_service(name: str, image: str) -> dict[str, Any]:
    """A head that computes nothing, and one worker with the application."""
    head, worker = _template(image), _template(image)
    (ray,) = head["spec"]["containers"]
    ray["ports"] = [
        {"name": port, "containerPort": number}
        for port, number in (("gcs", 6379), ("dashboard", 8265), ("serve", 8000))
    ]
    head_probe = {"httpGet": {"path": "/api/gcs_healthz", "port": 8265}, "periodSeconds": 2}
    ray["readinessProbe"] = {**head_probe, "failureThreshold": 60}
    (ray,) = worker["spec"]["containers"]
    ray["readinessProbe"] = {"tcpSocket": {"port": 52365}, "periodSeconds": 2}
    applications = [{"name": "hello", "route_prefix": "/", "import_path": "hello:app"}]
    serving = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "0.0.0.0", "port": 8000},  # noqa: S104 - within a pod
        "applications": applications,
    }
    store = {"object-store-memory": "100000000"}
    group = {"groupName": "worker", "replicas": 1, "minReplicas": 1, "maxReplicas": 1}
    cluster = {
        "authOptions": {"mode": "token"},
        "rayVersion": "2.60.0",
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0", **store}, "template": head},
        "workerGroupSpecs": [
            {**group, "rayStartParams": {"num-cpus": "1", **store}, "template": worker}
        ],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": name},
        "spec": {"serveConfigV2": yaml.safe_dump(serving), "rayClusterConfig": cluster},
    }

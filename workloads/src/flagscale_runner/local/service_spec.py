"""An InferenceService as one machine can serve it (pure)."""

from typing import Any, Final

from flagscale_runner.base import Manifest, RunnerError

_ONLY_IN_A_CLUSTER: Final = {
    "autoscaling": "set replicas",
    "auth": "leave it out, as nobody else reaches this machine's own address",
}
_DOWNLOADED: Final = ("huggingFace", "uri")


def service_here(body: Manifest) -> Manifest:
    """The same, on pods; RunnerError for a field that needs a cluster, with what to do instead."""
    spec: dict[str, Any] = body["spec"]
    if spec.get("runtime") == "rayservice":
        raise RunnerError("spec.runtime: is for a cluster, got rayservice; leave it out here")
    for name, instead in _ONLY_IN_A_CLUSTER.items():
        if spec.get(name):
            raise RunnerError(f"spec.{name}: is for a cluster, got {spec[name]}; {instead}")
    for name in _DOWNLOADED:
        if spec["model"].get(name):
            raise RunnerError(
                f"spec.model.{name}: is downloaded in a cluster only, got {spec['model'][name]}; "
                "download it into a folder, name that by spec.model.volume and --volume"
            )
    return {**body, "spec": {**spec, "runtime": "pods"}}

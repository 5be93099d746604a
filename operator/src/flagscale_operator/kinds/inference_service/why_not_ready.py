"""Why a service is not ready: the worst news first."""

from dataclasses import dataclass
from typing import Final

from flagscale_operator.kinds.inference_service.download_state import download_failure
from flagscale_operator.kinds.inference_service.facts import DeploymentFact, Observed, ServingPod
from flagscale_operator.kinds.inference_service.failures import newest_failure
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.pod_state import explain_waiting

_CLAIM_REMEDY: Final = "create the claim, or correct spec.model"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Reason and sentence; `fault`: it does not go away by waiting alone."""

    reason: str
    message: str
    fault: bool


def why_not_ready(
    service: ServiceView,
    observed: Observed,
    *,
    revision: str,
    engines: DeploymentFact | None,
    gateway: DeploymentFact | None,
) -> Trouble:
    """The reason why not everything of the wanted revision serves."""
    current = [p for p in observed.pods_of("engine") if p.revision == revision]
    unready = [p for p in current if not p.ready]
    doors = [p for p in observed.pods_of("gateway") if not p.ready]
    count = f"{len(current) - len(unready)} of {service.spec.replicas} engine pods are ready"
    return (
        _failed_download(unready, count)
        or _failed_engines(service, unready, count)
        or _waiting(unready, count)
        or _failed_gateway(service, doors)
        or _waiting(doors, "the gateway is not ready")
        or _downloading(observed, unready, count, revision=revision)
        or _refused(engines, "engine", count)
        or _refused(gateway, "gateway", count)
        or _in_progress(observed, unready, count, revision=revision)
    )


def other_engine(service: ServiceView, reason: str) -> str:
    """A further next step where the operator chose the engine, and may have chosen wrong."""
    if service.spec.engine.name != "auto" or reason not in ("ConfigError", "EngineExited"):
        return ""
    return (
        f"; {service.engine} is what spec.engine.name auto stands for here: if the model is not "
        "for it, name another engine, or the GGUF file in spec.model.file"
    )


def _failed_engines(service: ServiceView, unready: list[ServingPod], count: str) -> Trouble | None:
    failure = newest_failure(unready)
    if failure is None:
        return None
    message = f"{count}; pod {failure.pod} exited with {failure.exit_code}: {failure.message}"
    message += other_engine(service, failure.reason)
    return Trouble(failure.reason, message, fault=True)


def _failed_download(unready: list[ServingPod], count: str) -> Trouble | None:
    failure = download_failure((pod.name, pod.download) for pod in unready)
    if failure is None:
        return None
    message = f"{count}; pod {failure.pod} has no model: {failure.message}; it is tried again"
    return Trouble(failure.reason, message, fault=True)


def _downloading(
    observed: Observed, unready: list[ServingPod], count: str, *, revision: str
) -> Trouble | None:
    pods = [pod for pod in unready if pod.downloading]
    if not pods:
        return None
    message = f"{count}; the model is being downloaded; `kubectl logs {pods[0].name} -c download` "
    message += "tells how far it is"
    if _older_serves(observed, revision):
        message += "; an older revision serves until then"
    return Trouble("Downloading", message, fault=False)


def _older_serves(observed: Observed, revision: str) -> bool:
    return any(p.ready and p.revision != revision for p in observed.pods_of("engine"))


def _waiting(pods: list[ServingPod], count: str) -> Trouble | None:
    found = explain_waiting(pods, count, claim_remedy=_CLAIM_REMEDY)
    return Trouble(*found, fault=True) if found else None


def _failed_gateway(service: ServiceView, doors: list[ServingPod]) -> Trouble | None:
    failure = newest_failure(doors)
    if failure is None:
        return None
    told = f"the gateway {failure.pod} exited with {failure.exit_code}: {failure.message}"
    auth = service.spec.auth
    if auth and "auth.keysFile" in failure.message:
        reference = auth.api_keys_secret_ref
        told = failure.message.partition(";")[0]
        message = (
            f"spec.auth.apiKeysSecretRef: key {reference.key} of Secret {reference.name} holds no "
            f"usable API keys ({told}); create or correct it, this service then goes on by itself"
        )
        return Trouble("ApiKeysUnusable", message, fault=True)
    return Trouble("GatewayFailed", told, fault=True)


def _refused(deployment: DeploymentFact | None, component: str, count: str) -> Trouble | None:
    if deployment is None:
        return None
    if deployment.refused:
        message = f"{count}; pods of the {component} are refused: {deployment.refused}; lift the "
        return Trouble("PodsRefused", f"{message}quota or policy", fault=True)
    if deployment.stuck:
        message = (
            f"{count}; the {component} makes no progress; `kubectl describe` its pods, and correct "
            "spec.model, spec.engine or spec.resources"
        )
        return Trouble("ProgressDeadlineExceeded", message, fault=True)
    return None


def _in_progress(
    observed: Observed, unready: list[ServingPod], count: str, *, revision: str
) -> Trouble:
    if _older_serves(observed, revision):
        message = f"{count}; an older revision serves until they are"
        return Trouble("RollingUpdate", message, fault=False)
    if any(p.running for p in unready):
        return Trouble("Loading", f"{count}; the model is being loaded", fault=False)
    return Trouble("Starting", count, fault=False)

"""Names of what an InferenceService owns, its address, and the labels that select its pods."""

from typing import Final, Literal

from flagscale_api import keys
from flagscale_operator.kinds.inference_service.view import ServiceView

Component = Literal["engine", "gateway", "head"]
POD_PORT: Final = 8000
SERVICE_PORT: Final = 80


def deployment_name(service: str, component: Component) -> str:
    """Name of the Deployment of the engine pods or of the gateway."""
    return f"{service}-{component}"


def engines_name(service: str) -> str:
    """Name of the headless Service whose addresses are the ready engine pods."""
    return f"{service}-engines"


def starting_name(service: str) -> str:
    """Name of the headless Service whose addresses are all engine pods, ready or not."""
    return f"{service}-pending"


def url(namespace: str, service: str) -> str:
    """Base URL of the API within the cluster."""
    return f"http://{service}.{namespace}.svc:{SERVICE_PORT}/v1"


def selector(service: ServiceView, component: Component) -> dict[str, str]:
    """Labels that only this very service's pods of a component have."""
    return {
        keys.INFERENCE_SERVICE_LABEL: service.name,
        keys.OWNER_UID_LABEL: service.uid,
        keys.COMPONENT_LABEL: component,
    }


def selector_text(service: ServiceView) -> str:
    """The selector of the engine pods, as the scale subresource tells it."""
    pairs = selector(service, "engine").items()
    return ",".join(f"{key}={value}" for key, value in sorted(pairs))


def labels(service: ServiceView, component: Component) -> dict[str, str]:
    """Labels of every object and pod of a component: watches select by them."""
    return {
        keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
        keys.NAME_LABEL: "inferenceservice",
        keys.INSTANCE_LABEL: service.name,
        **selector(service, component),
    }

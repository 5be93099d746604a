"""The two sides of the aggregation layer: whom we believe, and how the API server believes us."""

import logging
from base64 import b64encode
from dataclasses import dataclass

import orjson

from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import API_SERVICE, CONFIG_MAP, METRICS_API_SERVICE_NAME

_log = logging.getLogger(__name__)
NAMESPACE = "kube-system"
CONFIG_NAME = "extension-apiserver-authentication"


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """The authority of the certificate that the API server shows, and the names it may have."""

    ca_pem: str
    allowed_names: tuple[str, ...]


async def front_proxy(kube: Kube) -> FrontProxy | None:
    """What the cluster says of its front proxy; None where it has no aggregation layer."""
    found = await kube.get(CONFIG_MAP, NAMESPACE, CONFIG_NAME)
    data = (found or {}).get("data") or {}
    ca_pem = data.get("requestheader-client-ca-file")
    if not ca_pem:
        return None
    names = orjson.loads(data.get("requestheader-allowed-names") or "[]")
    return FrontProxy(ca_pem, tuple(map(str, names)))


async def trust_ours(kube: Kube, *, namespace: str, ca_pem: str) -> bool:
    """Put our CA into the APIService of the load metrics; whether it is ours to answer.

    The chart registers it, without a certificate: the CA is made by the operator itself.
    """
    found = await kube.get(API_SERVICE, None, METRICS_API_SERVICE_NAME)
    spec = (found or {}).get("spec") or {}
    service = spec.get("service") or {}
    if service.get("namespace") != namespace:
        owner = service.get("namespace") or "nobody"
        _log.warning(
            "%s: registered by %s, not by this release; services with spec.autoscaling keep their "
            "replicas. Set metricsApi.register of the chart",
            METRICS_API_SERVICE_NAME,
            owner,
        )
        return False
    bundle = b64encode(ca_pem.encode()).decode()
    if spec.get("caBundle") != bundle:
        manifest = {
            "apiVersion": API_SERVICE.api_version,
            "kind": API_SERVICE.kind,
            "metadata": {"name": METRICS_API_SERVICE_NAME},
            "spec": {"caBundle": bundle},
        }
        await kube.apply(API_SERVICE, manifest, force=True)
    return True

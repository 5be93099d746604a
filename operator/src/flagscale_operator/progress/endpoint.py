"""Progress posts go to the leader: it names itself as the endpoint of the progress Service."""

import ipaddress

from flagscale_api import keys
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import (
    ENDPOINT_SLICE,
    PROGRESS_SERVICE_NAME,
    PROGRESS_SLICE_NAMES,
)

PORT_NAME = "progress"


async def publish_endpoint(
    kube: Kube, *, namespace: str, address: str, port: int, port_name: str = PORT_NAME
) -> None:
    """Make this address the only endpoint of the Service, which has no selector.

    The address family of a slice can't change, so each family has a slice of its own name. A
    loopback address (an operator outside the cluster) can't be an endpoint: nothing is published.
    """
    ip = ipaddress.ip_address(address)
    if ip.is_loopback:
        return
    await kube.apply(
        ENDPOINT_SLICE,
        {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {
                "name": PROGRESS_SLICE_NAMES[ip.version],
                "namespace": namespace,
                "labels": {
                    "kubernetes.io/service-name": PROGRESS_SERVICE_NAME,
                    "endpointslice.kubernetes.io/managed-by": keys.GROUP,
                    keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
                },
            },
            "addressType": f"IPv{ip.version}",
            "endpoints": [{"addresses": [str(ip)], "conditions": {"ready": True}}],
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        },
        force=True,
    )
    await kube.delete(ENDPOINT_SLICE, namespace, PROGRESS_SLICE_NAMES[10 - ip.version])

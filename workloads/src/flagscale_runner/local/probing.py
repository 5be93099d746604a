"""Readiness, asked as the kubelet asks: 200 on a path."""

import http.client
from typing import Final

from flagscale_operator.kube.client import Manifest

TIMEOUT_S: Final = 0.5
"""Short, as one loop looks after all pods of the machine."""


def answers(pod: Manifest, port: int | None) -> bool:
    """Whether a pod's readiness probe succeeds; True where it has none."""
    probe = pod["spec"]["containers"][0].get("readinessProbe")
    if probe is None:
        return True
    if port is None:
        return False
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", probe["httpGet"]["path"])
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

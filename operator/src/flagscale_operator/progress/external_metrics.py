"""external.metrics.k8s.io: the load of each service, for HorizontalPodAutoscalers.

The API server passes requests on that it has authenticated and authorized itself, and shows its
certificate for that; from anybody else nothing is answered here.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from flagscale_api import keys
from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kinds.inference_service.autoscaler import METRIC
from flagscale_operator.kinds.inference_service.load import LoadSource

GROUP_VERSION: Final = "external.metrics.k8s.io/v1beta1"
ROOT: Final = f"/apis/{GROUP_VERSION}"
_SELECTED: Final = f"{keys.INFERENCE_SERVICE_LABEL}="
Answer = dict[str, Any]


class ExternalMetrics:
    """Answers what an autoscaler asks."""

    def __init__(
        self,
        load: LoadSource,
        *,
        allowed_names: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        """`allowed_names`: common names that a certificate may have; none: any."""
        self._load = load
        self._allowed = allowed_names
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Discovery, and the one metric."""
        return [
            web.get(ROOT, self.discover),
            web.get(f"{ROOT}/namespaces/{{namespace}}/{{metric}}", self.read),
        ]

    async def discover(self, request: web.Request) -> web.Response:
        """The metrics there are."""
        return self._refusal(request) or web.json_response(resource_list())

    async def read(self, request: web.Request) -> web.Response:
        """The value of the metric for the service that the selector names; none while unknown."""
        refused = self._refusal(request)
        if refused:
            return refused
        if request.match_info["metric"] != METRIC:
            return _status(404, "NotFound", f"metric: there is only {METRIC}")
        namespace, name = request.match_info["namespace"], selected(request.query)
        if name is None:
            return _status(400, "BadRequest", f"labelSelector: must be {_SELECTED}<name>")
        load = self._load.newest(namespace, name)
        now = self._clock()
        return web.json_response(value_list(name, load.requests if load else None, now))

    def _refusal(self, request: web.Request) -> web.Response | None:
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport else None
        if not certificate:
            return _status(401, "Unauthorized", "certificate: none shown; ask the API server")
        if self._allowed and not set(common_names(certificate)) & set(self._allowed):
            return _status(403, "Forbidden", "certificate: not that of the API server's proxy")
        return None


def common_names(certificate: Answer) -> list[str]:
    """The common names of a peer's certificate, as the ssl module tells it."""
    parts = (pair for part in certificate.get("subject", ()) for pair in part)
    return [value for key, value in parts if key == "commonName"]


def selected(query: Any) -> str | None:  # noqa: ANN401 - any mapping of strings
    """The service that a query's label selector names."""
    text = query.get("labelSelector", "")
    name = text.removeprefix(_SELECTED)
    return name if text.startswith(_SELECTED) and name and "," not in name else None


def resource_list() -> Answer:
    """The answer to discovery."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": GROUP_VERSION,
        "resources": [
            {
                "name": METRIC,
                "singularName": "",
                "namespaced": True,
                "kind": "ExternalMetricValueList",
                "verbs": ["get"],
            }
        ],
    }


def value_list(service: str, requests: float | None, now: datetime) -> Answer:
    """One value in thousandths, or none: an autoscaler changes nothing without one."""
    value = {
        "metricName": METRIC,
        "metricLabels": {keys.INFERENCE_SERVICE_LABEL: service},
        "timestamp": format_time(now),
        "value": f"{round((requests or 0) * 1000)}m",
    }
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": GROUP_VERSION,
        "metadata": {},
        "items": [] if requests is None else [value],
    }


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }
    return web.json_response(body, status=code)

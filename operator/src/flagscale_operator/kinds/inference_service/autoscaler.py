"""The HorizontalPodAutoscaler of an InferenceService: it scales the service, not its Deployment."""

from typing import Any, Final

from flagscale_api import keys
from flagscale_api.v1alpha1.autoscaling import AutoscalingSpec
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kube.kinds import INFERENCE_SERVICE

Manifest = dict[str, Any]
METRIC: Final = "flagscale_outstanding_requests"
"""Requests that run or wait, of one service."""
POLICY_PERIOD_S: Final = 15


def autoscaler_spec(service: ServiceView, limits: AutoscalingSpec) -> Manifest:
    """Its `spec`: as many pods as the load asks for, at once; fewer only after the delay.

    The metric is the load of all pods together, so it does not matter which of them are ready.
    """
    selector = {"matchLabels": {keys.INFERENCE_SERVICE_LABEL: service.name}}
    target = {"type": "AverageValue", "averageValue": _quantity(limits.target_concurrency)}
    return {
        "scaleTargetRef": {
            "apiVersion": INFERENCE_SERVICE.api_version,
            "kind": INFERENCE_SERVICE.kind,
            "name": service.name,
        },
        # None is the operator's business: an autoscaler does not go below one.
        "minReplicas": max(1, limits.min_replicas),
        "maxReplicas": limits.max_replicas,
        "metrics": [
            {
                "type": "External",
                "external": {"metric": {"name": METRIC, "selector": selector}, "target": target},
            }
        ],
        "behavior": {
            "scaleUp": _behavior(0, "Pods", limits.max_replicas),
            "scaleDown": _behavior(limits.scale_down_delay_seconds, "Percent", 100),
        },
    }


def _behavior(window_s: int, kind: str, value: int) -> Manifest:
    return {
        "stabilizationWindowSeconds": window_s,
        "selectPolicy": "Max",
        "policies": [{"type": kind, "value": value, "periodSeconds": POLICY_PERIOD_S}],
    }


def _quantity(number: int) -> str:
    """As the API server writes it, so that what is stored equals what was applied."""
    return f"{number // 1000}k" if number % 1000 == 0 else str(number)

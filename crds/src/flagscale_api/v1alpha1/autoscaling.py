"""How many engine pods an InferenceService has while its load changes."""

from typing import ClassVar

from pydantic import Field

from flagscale_api.meta import ApiModel, CelRule


class AutoscalingSpec(ApiModel):
    """Engine pods by load."""

    min_replicas: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Fewest engine pods. 0: none while nobody asks; the next request waits at the "
        "gateway until an engine has started. Of runtime rayservice the Ray head stays.",
    )
    max_replicas: int = Field(ge=1, le=64, description="Most engine pods.")
    target_concurrency: int = Field(
        default=8,
        ge=1,
        le=65536,
        description="Requests per engine pod that are aimed at, running and waiting ones together.",
    )
    scale_down_delay_seconds: int = Field(
        default=300,
        ge=0,
        le=3600,
        description="How long fewer pods must have been enough before some are taken away; to 0, "
        "how long nobody must have asked.",
    )
    hold_seconds: float = Field(
        default=300,
        gt=0,
        le=3600,
        description="Longest wait of a request while no engine pod is ready; then 503 with "
        "Retry-After. Requests that wait count towards spec.limits.queueSize.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "self.minReplicas <= self.maxReplicas",
            "spec.autoscaling.minReplicas: exceeds maxReplicas; lower it, or raise maxReplicas",
            ".minReplicas",
            holds=lambda spec: spec.min_replicas <= spec.max_replicas,
        ),
    )

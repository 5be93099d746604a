"""Settings of the operator, from environment variables; read once, frozen."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.tool_matcher.wanted import MatcherWanted, decoded
from flagscale_operator.kube.kinds import MATCHER_REPLICAS_NAME

PREFIX = "FLAGSCALE_"


class Settings(BaseModel):
    """What the chart (or a developer) tells the operator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = Field(default="flagscale-system", description="The operator's own namespace.")
    watch_namespaces: tuple[str, ...] = Field(
        default=(), description="Namespaces to watch; none: the whole cluster."
    )
    trainer_image: str = Field(
        default="flagscale-trainer:latest", description="Image of FlagScale's trainer."
    )
    image_pull_policy: str = Field(
        default="IfNotPresent",
        pattern="^(Always|IfNotPresent|Never)$",
        description="Pull policy of training pods.",
    )
    serving_image: str = Field(
        default="flagscale-serving:latest", description="Image of serving pods."
    )
    llamacpp_image: str = Field(
        default="flagscale-llamacpp:latest", description="Image of serving pods for llamacpp."
    )
    sglang_image: str = Field(
        default="flagscale-sglang:latest", description="Image of serving pods for sglang."
    )
    serving_pull_policy: str = Field(
        default="IfNotPresent",
        pattern="^(Always|IfNotPresent|Never)$",
        description="Pull policy of serving pods.",
    )
    matcher: MatcherWanted | None = Field(
        default=None, description="The tool matcher to keep, as JSON; none: there is none."
    )
    matcher_url: str = Field(
        default="",
        pattern=r"^(http://[-.:\[\]A-Za-z0-9]+)?$",
        description="Where matchers are that somebody else keeps; for development only.",
    )
    tool_loopback: bool = Field(
        default=False, description="Ask tools on this machine; for development only."
    )
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    metrics_port: int = Field(default=8080, ge=0, le=65535)
    probe_port: int = Field(default=8081, ge=0, le=65535)
    progress_port: int = Field(default=10443, ge=0, le=65535)
    progress_url: str | None = Field(
        default=None, description="Base URL that pods post to; default: the Service's."
    )
    leader_elect: bool = Field(default=True, description="Hold a Lease while working.")
    workers: int = Field(default=32, ge=1, le=512, description="Objects reconciled at a time.")
    api_rate: float = Field(
        default=300.0, gt=0, description="API requests per second at most, on average."
    )
    api_burst: int = Field(default=600, ge=1, description="API requests at once at most.")
    pod_name: str = Field(default_factory=socket.gethostname, description="Identity of the Lease.")
    pod_ip: str = Field(default="127.0.0.1", description="Where the progress server is reached.")

    @property
    def effective_progress_url(self) -> str:
        """Base URL of the progress server as pods see it."""
        return self.progress_url or f"https://flagscale-progress.{self.namespace}.svc:10443"

    @property
    def effective_matcher_url(self) -> str:
        """Headless Service of the tool matchers; empty: there are none."""
        kept = f"http://{MATCHER_REPLICAS_NAME}.{self.namespace}.svc:8080" if self.matcher else ""
        return self.matcher_url or kept

    @field_validator("matcher", mode="before")
    @classmethod
    def _decoded(cls, value: object) -> object:
        return decoded(value)


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from FLAGSCALE_* (and POD_NAME, POD_IP); raises InvalidSpecError naming each."""
    values: dict[str, Any] = {
        name: environ[PREFIX + name.upper()]
        for name in Settings.model_fields
        if environ.get(PREFIX + name.upper())
    }
    values.update({n: environ[n.upper()] for n in ("pod_name", "pod_ip") if environ.get(n.upper())})
    if "watch_namespaces" in values:
        values["watch_namespaces"] = tuple(
            n for n in map(str.strip, values["watch_namespaces"].split(",")) if n
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{PREFIX}{_variable(e['loc'])}: {e['msg']}, got {e['input']!r}" for e in error.errors()
        )
        remedy = "correct the variable, or the chart's value that it comes from"
        raise InvalidSpecError(f"{wrong}; {remedy}") from error


def _variable(location: tuple[int | str, ...]) -> str:
    """`MATCHER.replicas` for a field within a variable."""
    first, *rest = map(str, location)
    return ".".join([first.upper(), *rest])

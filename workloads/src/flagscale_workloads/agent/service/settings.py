"""How a service was started."""

import argparse
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from flagscale_workloads.agent.service.kube.api import SERVICE_ACCOUNT


class SettingsError(Exception):
    """The options don't go together."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked options."""

    host: str
    port: int
    tools: Path | None
    namespaces: tuple[str, ...]
    """Empty: all."""
    audience: str
    service_account: Path
    vectors: Path | None
    requests_per_minute: int
    caller_concurrency: int
    concurrency: int
    body_bytes: int
    match_timeout_s: float
    access_ttl_s: float
    status_s: float
    grace_s: float
    loopback_tools: bool

    def check(self) -> None:
        """Raises SettingsError."""
        if self.tools and not _is_loopback(self.host):
            msg = (
                f"--host: with --tools nobody is asked for a token, got {self.host}; listen on "
                "127.0.0.1"
            )
            raise SettingsError(msg)


def parse(arguments: list[str] | None = None) -> Settings:
    """The options of a command line. Raises SettingsError."""
    given = _parser().parse_args(arguments)
    settings = Settings(
        host=given.host,
        port=given.port,
        tools=given.tools,
        namespaces=tuple(given.namespace),
        audience=given.audience,
        service_account=given.service_account,
        vectors=given.vectors,
        requests_per_minute=given.requests_per_minute,
        caller_concurrency=given.caller_concurrency,
        concurrency=given.concurrency,
        body_bytes=given.max_body_bytes,
        match_timeout_s=given.match_timeout,
        access_ttl_s=given.access_seconds,
        status_s=given.status_seconds,
        grace_s=given.grace_seconds,
        loopback_tools=given.allow_loopback,
    )
    settings.check()
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flagscale_workloads.agent.service",
        description="Find, describe and call the tools that AgentTools tell of.",
    )
    add = parser.add_argument
    add("--tools", type=Path, help="YAML file or folder of AgentTools, instead of a cluster")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=8080, help="0: any free one")
    add("--namespace", action="append", default=[], help="its AgentTools only; may be repeated")
    add("--audience", default="flagscale-tools", help="what callers' tokens must be made for")
    add(
        "--service-account",
        type=Path,
        default=SERVICE_ACCOUNT,
        help="folder with the token and ca.crt of a pod",
    )
    add("--vectors", type=Path, help="file that keeps vectors over restarts")
    add("--requests-per-minute", type=_positive, default=6000, help="of one caller")
    add("--caller-concurrency", type=_positive, default=64, help="requests of one caller at once")
    add("--concurrency", type=_positive, default=512, help="requests of all callers at once")
    add("--max-body-bytes", type=_positive, default=1 << 20, help="of a request")
    add("--match-timeout", type=float, default=10.0, help="seconds that a search may take")
    add("--access-seconds", type=float, default=30.0, help="how long an access review is kept")
    add("--status-seconds", type=float, default=30.0, help="between writes of status.calls")
    add("--grace-seconds", type=float, default=20.0, help="for running requests at the end")
    add(
        "--allow-loopback",
        action="store_true",
        help="tools at loopback addresses may be called where spec.egress.internalHosts names them",
    )
    return parser  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        msg = f"must be 1 or more, got {value}"
        raise argparse.ArgumentTypeError(msg)
    return value

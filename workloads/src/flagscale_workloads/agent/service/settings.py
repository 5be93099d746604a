"""How a service was started."""

import argparse
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from flagscale_workloads.agent.service.calls.addresses import Network, literal


class SettingsError(Exception):
    """The options don't go together."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked options."""

    host: str
    port: int
    tools: Path | None
    namespace: str
    audience: str
    vectors: Path | None
    requests_per_minute: int
    caller_concurrency: int
    concurrency: int
    body_bytes: int
    match_timeout_s: float
    access_ttl_s: float
    grace_s: float
    networks: tuple[Network, ...]
    loopback_tools: bool

    def check(self) -> None:
        """Raises SettingsError."""
        address = literal("127.0.0.1" if self.host == "localhost" else self.host)
        if self.tools and not (address and address.is_loopback):
            msg = (
                f"--host: with --tools nobody is asked for a token, got {self.host}; listen on "
                "127.0.0.1"
            )
            raise SettingsError(msg)
        if self.loopback_tools and not self.tools:
            msg = "--allow-loopback: is for tools on this machine; give --tools, too"
            raise SettingsError(msg)


def parse(arguments: list[str] | None = None) -> Settings:
    """The options of a command line. Raises SettingsError."""
    given = _parser().parse_args(arguments)
    try:
        networks = tuple(ip_network(text) for text in given.allow_network)
    except ValueError as error:
        msg = f"--allow-network: not a network ({error}); give one like 10.0.0.0/8"
        raise SettingsError(msg) from error
    settings = Settings(
        host=given.host,
        port=given.port,
        tools=given.tools,
        namespace=given.namespace,
        audience=given.audience,
        vectors=given.vectors,
        requests_per_minute=given.requests_per_minute,
        caller_concurrency=given.caller_concurrency,
        concurrency=given.concurrency,
        body_bytes=given.max_body_bytes,
        match_timeout_s=given.match_timeout,
        access_ttl_s=given.access_seconds,
        grace_s=given.grace_seconds,
        networks=networks,
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
    add("--namespace", default="", help="AgentTools of this namespace only")
    add("--audience", default="flagscale-tools", help="what callers' tokens must be made for")
    add("--vectors", type=Path, help="file that keeps vectors over restarts")
    add("--requests-per-minute", type=_positive, default=6000, help="of one caller")
    add("--caller-concurrency", type=_positive, default=64, help="requests of one caller at once")
    add("--concurrency", type=_positive, default=512, help="requests of all callers at once")
    add("--max-body-bytes", type=_positive, default=1 << 20, help="of a request")
    add("--match-timeout", type=float, default=10.0, help="seconds that a search may take")
    add("--access-seconds", type=float, default=30.0, help="how long an access review is kept")
    add("--grace-seconds", type=float, default=20.0, help="for running requests at the end")
    add("--allow-network", action="append", default=[], metavar="CIDR",
        help="private network that tools may be in without naming it")
    add("--allow-loopback", action="store_true", help="tools on this machine may be called")
    return parser  # fmt: skip


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        msg = f"must be 1 or more, got {value}"
        raise argparse.ArgumentTypeError(msg)
    return value

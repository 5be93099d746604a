"""An agent's door for tasks: an ASGI application of the official SDK around one function."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityScheme,
)
from a2a.utils.constants import PROTOCOL_VERSION_CURRENT, TransportProtocol
from starlette.applications import Starlette
from starlette.middleware import Middleware

from flagscale_workloads.agent.collaboration.a2a.door import Door
from flagscale_workloads.agent.collaboration.a2a.executor import Work, WorkExecutor
from flagscale_workloads.agent.collaboration.a2a.tasks import NewestTasks
from flagscale_workloads.agent.collaboration.errors import InvalidInputError
from flagscale_workloads.agent.collaboration.limits import encode_info
from flagscale_workloads.agent.collaboration.values import AgentInfo


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """How much an agent takes."""

    body_bytes: int = 1_048_576
    at_once: int = 16
    """Tasks that run; further ones are rejected."""
    kept: int = 1_000
    """Tasks whose result can still be asked for."""
    card_bytes: int = 65_536


def agent_app(
    info: AgentInfo,
    work: Work,
    *,
    version: str = "1.0.0",
    token: str = "",
    limits: EndpointLimits | None = None,
) -> Starlette:
    """An application that serves the agent's card and runs `work` for each task.

    Args:
        info: what the agent registers with; its url is where the application is reached.
        work: yields the answer.
        version: of the agent, for its card.
        token: a bearer token that callers must send; empty: anybody may call.
        limits: how much it takes.

    Raises:
        InvalidInputError: no url, or a limit.
    """
    if not info.url:
        msg = f"agent {info.name}: no url, got ''; give the one where the application is reached"
        raise InvalidInputError(msg)
    bounds = limits or EndpointLimits()
    encode_info(info, bounds.card_bytes)
    card = card_of(info, version, guarded=bool(token))
    handler = DefaultRequestHandler(
        WorkExecutor(work, bounds.at_once), NewestTasks(bounds.kept), card
    )
    path = urlsplit(info.url).path.rstrip("/")
    return Starlette(
        routes=[
            *create_agent_card_routes(card, card_url=f"{path}/.well-known/agent-card.json"),
            *create_jsonrpc_routes(handler, rpc_url=path or "/"),
        ],
        middleware=[Middleware(Door, token=token, max_bytes=bounds.body_bytes)],
    )


def card_of(info: AgentInfo, version: str, *, guarded: bool) -> AgentCard:
    """The agent card (A2A 1.0) of what an agent tells about itself."""
    schemes = {"bearer": SecurityScheme(http_auth_security_scheme=_BEARER)} if guarded else {}
    card = AgentCard(
        name=info.name,
        description=info.description or info.name,
        version=version,
        supported_interfaces=[
            AgentInterface(
                url=info.url,
                protocol_binding=TransportProtocol.JSONRPC,
                protocol_version=PROTOCOL_VERSION_CURRENT,
            )
        ],
        capabilities=AgentCapabilities(streaming=True),
        security_schemes=schemes,
        default_input_modes=["text/plain", "application/json"],
        default_output_modes=["text/plain", "application/json"],
        skills=[
            AgentSkill(id=skill, name=skill, description=skill, tags=[skill])
            # A card has at least one.
            for skill in info.skills or (info.name,)
        ],
    )
    if guarded:
        card.security_requirements.add().schemes["bearer"].SetInParent()
    return card


_BEARER = HTTPAuthSecurityScheme(scheme="Bearer")

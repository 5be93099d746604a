"""Hands a task to an agent, as a client of the official SDK."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import new_data_part, new_text_part
from a2a.types.a2a_pb2 import (
    AgentCard,
    GetTaskRequest,
    Message,
    Role,
    SendMessageRequest,
    StreamResponse,
)
from a2a.utils.errors import A2AError

from flagscale_api.runtime.egress import AddressPolicy
from flagscale_workloads.agent.collaboration.a2a.outcome import HandOff, Outcome
from flagscale_workloads.agent.collaboration.a2a.progress import Progress
from flagscale_workloads.agent.collaboration.a2a.transport import PRIVATE, GuardedTransport
from flagscale_workloads.agent.collaboration.errors import HandOffError
from flagscale_workloads.agent.collaboration.limits import encode
from flagscale_workloads.agent.collaboration.participant import new_nonce
from flagscale_workloads.agent.collaboration.values import AgentInfo, Json

POLL_S = 0.2


async def hand_off(
    info: AgentInfo,
    task: Json,
    how: HandOff,
    *,
    transport: GuardedTransport | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Outcome]:
    """What is known of the task after each step.

    Args:
        info: whom; its url is where its card is.
        task: text, or JSON.
        how: limits, and what it belongs to.
        transport: where calls may go; by default to private networks and public addresses.
        headers: sent with every request.

    Raises:
        HandOffError: not reachable, not allowed, no A2A, or not ended in time.
    """
    encode(task, f"task for {info.name}", how.max_bytes)
    guarded = transport or _guarded(how)
    with _told(info, how):
        async with asyncio.timeout(how.timeout_s), _http(how, guarded, headers or {}) as http:
            client = await _client(info, http)
            progress = Progress()
            async for event in client.send_message(_request(task, how)):
                yield progress.after(event)
            while progress.outcome.task_id and not progress.outcome.ended:
                await asyncio.sleep(POLL_S)
                yield await _polled(client, progress)


@contextmanager
def _told(info: AgentInfo, how: HandOff) -> Iterator[None]:
    """What goes wrong, as HandOffError."""
    try:
        yield
    except TimeoutError:
        msg = f"agent {info.name}: did not end its task in {how.timeout_s:g} s; allow it more time"
        raise HandOffError(msg) from None
    except (A2AError, httpx.HTTPError, ValueError) as error:
        raise _guard_error(error) or _failed(info, error) from None


def _failed(info: AgentInfo, error: Exception) -> HandOffError:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return HandOffError(
        f"agent {info.name}: could not hand over, got {said}; look at the agent's log"
    )


def _guarded(how: HandOff) -> GuardedTransport:
    policy = AddressPolicy(loopback=how.loopback, networks=PRIVATE)
    return GuardedTransport(policy, max_bytes=how.max_bytes)


def _http(
    how: HandOff, transport: GuardedTransport, headers: Mapping[str, str]
) -> httpx.AsyncClient:
    own = {"Authorization": f"Bearer {how.token}"} if how.token else {}
    return httpx.AsyncClient(
        transport=transport,
        headers={**headers, **own},
        timeout=httpx.Timeout(how.timeout_s, connect=min(5.0, how.timeout_s)),
        follow_redirects=False,
        trust_env=False,
    )


async def _client(info: AgentInfo, http: httpx.AsyncClient) -> Client:
    card = await A2ACardResolver(http, info.url).get_agent_card()
    _check_card(card, info)
    return ClientFactory(ClientConfig(httpx_client=http)).create(card)


def _check_card(card: AgentCard, info: AgentInfo) -> None:
    # A card may name any host: the token, and the task, go only where the agent registered.
    own = urlsplit(info.url).hostname
    for interface in card.supported_interfaces:
        host = urlsplit(interface.url).hostname
        if host != own:
            msg = (
                f"agent {info.name}: its card points elsewhere, got host {host}, expected {own}; "
                "register the url that its card has"
            )
            raise HandOffError(msg)


def _request(task: Json, how: HandOff) -> SendMessageRequest:
    part = new_text_part(task) if isinstance(task, str) else new_data_part(task)
    message = Message(
        role=Role.ROLE_USER,
        parts=[part],
        message_id=new_nonce(),
        context_id=how.context_id,
        task_id=how.task_id,
    )
    return SendMessageRequest(message=message)


async def _polled(client: Client, progress: Progress) -> Outcome:
    """For agents that do not stream."""
    found = await client.get_task(GetTaskRequest(id=progress.outcome.task_id))
    return progress.after(StreamResponse(task=found))


def _guard_error(error: BaseException | None) -> HandOffError | None:
    """Our own transport's refusal, which the SDK may have wrapped."""
    while error is not None:
        if isinstance(error, HandOffError):
            return error
        error = error.__cause__ or error.__context__
    return None

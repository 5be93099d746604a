"""Hands a task to an agent, as a client of the official SDK."""

import asyncio
from collections.abc import AsyncIterator
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

from flagscale_workloads.agent.collaboration.a2a.outcome import HandOff, Outcome
from flagscale_workloads.agent.collaboration.a2a.progress import Progress
from flagscale_workloads.agent.collaboration.a2a.transport import GuardedTransport
from flagscale_workloads.agent.collaboration.errors import HandOffError
from flagscale_workloads.agent.collaboration.limits import encode
from flagscale_workloads.agent.collaboration.participant import new_nonce
from flagscale_workloads.agent.collaboration.values import AgentInfo, Json

POLL_S = 0.2


async def hand_off(info: AgentInfo, task: Json, how: HandOff) -> AsyncIterator[Outcome]:
    """What is known of the task after each step.

    Raises:
        HandOffError: not reachable, not allowed, no A2A, or not ended in time.
    """
    encode(task, f"task for {info.name}", how.max_bytes)
    try:
        async with asyncio.timeout(how.timeout_s), _http(how) as http:
            client = await _client(info, http)
            progress = Progress()
            async for event in client.send_message(_request(task, how)):
                yield progress.after(event)
            while progress.outcome.task_id and not progress.outcome.ended:
                await asyncio.sleep(POLL_S)
                yield await _polled(client, progress)
    except TimeoutError:
        msg = f"agent {info.name}: did not end its task in {how.timeout_s:g} s; allow it more time"
        raise HandOffError(msg) from None
    except (A2AError, httpx.HTTPError, ValueError) as error:
        cause = _guard_error(error)
        if cause is not None:
            raise cause from None
        said = " ".join(str(error).split())[:300] or type(error).__name__
        msg = f"agent {info.name}: could not hand over, got {said}; look at the agent's log"
        raise HandOffError(msg) from error


def _http(how: HandOff) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=GuardedTransport(loopback=how.loopback, max_bytes=how.max_bytes),
        headers={"Authorization": f"Bearer {how.token}"} if how.token else {},
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

"""Whether an endpoint of a tool answers, found out without calling the tool."""

import json
from dataclasses import dataclass
from typing import Final

from flagscale_operator.outside.addresses import Egress, OutsideError
from flagscale_operator.outside.http import Answer, check, request

TIMEOUT_S: Final = 5.0
CARD_BYTES: Final = 1 << 20
AWAY: Final = (502, 503, 504)
CARD: Final = ".well-known/agent-card.json"


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed, the same for all tools that share it."""

    url: str
    is_agent: bool = False
    internal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it; equal while nothing has changed."""

    answers: bool
    reason: str
    message: str


async def probe(target: Target, egress: Egress) -> Probe:
    """One look. An endpoint is asked for its OPTIONS, which no server acts on; agents for a card.

    Whatever is answered counts, also 401 and 405, but for a redirect to where no call may go and
    for a proxy that says that nobody is behind it.
    """
    try:
        if target.is_agent:
            return await _card(target.url, egress)
        answer = await request("OPTIONS", target.url, egress=egress, timeout_s=TIMEOUT_S)
        await _follow(answer, egress)
    except OutsideError as error:
        return Probe(answers=False, reason=error.reason, message=error.message)
    if answer.status in AWAY:
        told = f"{target.url}: answers {answer.status}; what is behind it is away"
        return Probe(answers=False, reason="ServerAway", message=told)
    return Probe(answers=True, reason="Answers", message="")


async def _follow(answer: Answer, egress: Egress) -> None:
    if not answer.location:
        return
    try:
        await check(answer.location, egress)
    except OutsideError as error:
        told = f"redirects to {answer.location[:200]}, where no call may go: {error.message}"
        raise OutsideError("ForbiddenRedirect", told) from error


async def _card(url: str, egress: Egress) -> Probe:
    card = f"{url.rstrip('/')}/{CARD}"
    answer = await request("GET", card, egress=egress, timeout_s=TIMEOUT_S, limit_bytes=CARD_BYTES)
    await _follow(answer, egress)
    try:
        found = answer.status == 200 and isinstance(json.loads(answer.body), dict)
    except ValueError:
        found = False
    if found:
        return Probe(answers=True, reason="Answers", message="")
    told = f"{card}: no agent card, got status {answer.status}; correct the URL"
    return Probe(answers=False, reason="NoAgentCard", message=told)

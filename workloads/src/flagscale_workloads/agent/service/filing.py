"""Changes the category of tools: in their AgentTools, so that every replica and kubectl see it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from flagscale_api import keys
from flagscale_workloads.agent.service.access import RESOURCE, Access
from flagscale_workloads.agent.service.callers import Caller
from flagscale_workloads.agent.service.entries import Entry
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.kube.api import Body, KubeApi, KubeError

AT_ONCE: Final = 8
MOST: Final = 1000
"""Tools that one request changes."""


class Filing(Protocol):
    """Raises ServiceError."""

    async def move(self, caller: Caller, entries: Sequence[Entry], category: str) -> dict[str, Any]:
        """File tools under another category; empty: under none of their own."""


class NoFiling:
    """For files."""

    async def move(self, caller: Caller, entries: Sequence[Entry], category: str) -> dict[str, Any]:
        """Always refused: what a person has written is not rewritten."""
        message = "category: these tools come from files; change spec.category there"
        raise ServiceError(409, "read_only", message)


@dataclass(frozen=True, slots=True)
class KubeFiling:
    """Writes `spec.category` of those AgentTools that the caller may patch."""

    api: KubeApi
    access: Access

    async def move(self, caller: Caller, entries: Sequence[Entry], category: str) -> dict[str, Any]:
        """See `Filing.move`; at most `MOST` of them, `remaining` tells how many are left."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(entry: Entry) -> str:
            async with turns:
                return await self._move(caller, entry, category)

        taken = entries[:MOST]
        # All are awaited, also when one raises: no write goes on behind the answer's back.
        told = await asyncio.gather(*(one(entry) for entry in taken), return_exceptions=True)
        for answer in told:
            if isinstance(answer, BaseException):
                raise answer
        refused = [
            {"namespace": entry.namespace, "name": entry.name, "message": why}
            for entry, why in zip(taken, told, strict=True)
            if why
        ]
        if refused and len(refused) == len(taken):
            first = refused[0]
            place = f"{first['namespace']}/{first['name']}"
            raise ServiceError(403, "forbidden", f"tool {place}: {first['message']}")
        return {
            "changed": len(taken) - len(refused),
            "refused": refused,
            "remaining": len(entries) - len(taken),
        }

    async def _move(self, caller: Caller, entry: Entry, category: str) -> str:
        """Why it was not changed; empty: it was."""
        if not await self.access.may(caller, "patch", entry.namespace, entry.name):
            return "you may not change it; ask for a Role that may patch agenttools"
        path = f"/apis/{keys.API_VERSION}/namespaces/{entry.namespace}/{RESOURCE}/{entry.name}"
        try:
            if _is_sources(await self.api.get(path)):
                return "its category is its source's; change spec.category of the AgentToolSource"
            await self.api.merge(
                path, {"spec": {"category": category or None}}, manager=keys.MATCHER_FIELD_MANAGER
            )
        except KubeError as error:
            return _why(error)
        return ""


def _is_sources(body: Body) -> bool:
    """Whether the operator would write the source's category again."""
    fields = (
        (one.get("fieldsV1") or {}).get("f:spec") or {}
        for one in (body.get("metadata") or {}).get("managedFields") or ()
        if one.get("manager") == keys.TOOL_SOURCE_FIELD_MANAGER
    )
    return any("f:category" in own for own in fields)


def _why(error: KubeError) -> str:
    """Of one tool; raises ServiceError for what concerns all of them."""
    if error.status == 403:
        message = (
            "category: the matcher may not change AgentTools; install the chart with "
            "matcher.manageCategories=true, or change spec.category yourself"
        )
        raise ServiceError(403, "not_enabled", message) from error
    if error.status == 0 or error.status == 429 or error.status >= 500:
        message = "category: the API server did not take it; try again"
        raise ServiceError(503, "not_written", message, retry_after_s=2) from error
    if error.status == 422:
        raise ServiceError(400, "invalid_request", f"category: {error}") from error
    return "it is gone" if error.status == 404 else str(error)

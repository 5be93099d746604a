"""What the service does, whichever door asks: find, explain, describe, list, call."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, TypeVar

from flagscale_workloads.agent.service.access import Access, Visible
from flagscale_workloads.agent.service.admission import Admission
from flagscale_workloads.agent.service.calls.calling import Calling
from flagscale_workloads.agent.service.catalogue import Catalogue
from flagscale_workloads.agent.service.entries import Entry
from flagscale_workloads.agent.service.errors import ServiceError, not_found
from flagscale_workloads.agent.service.exchange import Exchange
from flagscale_workloads.agent.service.filing import Filing
from flagscale_workloads.agent.service.listing import page
from flagscale_workloads.agent.service.messages import AssignRequest, ListRequest, MatchRequest
from flagscale_workloads.agent.service.metrics import ServiceMetrics
from flagscale_workloads.agent.service.outcome import Outcome
from flagscale_workloads.agent.service.rendering import described, explained, listed, matched
from flagscale_workloads.agent.service.tracing import Tracing, tell
from flagscale_workloads.agent.tool_match.answer import Matches
from flagscale_workloads.agent.tool_match.confidence import ABSTAIN_BELOW
from flagscale_workloads.agent.tool_match.filters import Filter
from flagscale_workloads.agent.tool_match.matcher import ToolMatcher

T = TypeVar("T")
THREADS: Final = 8


@dataclass(slots=True)
class ToolService:
    """Every method raises ServiceError."""

    matcher: ToolMatcher
    catalogue: Catalogue
    access: Access
    admission: Admission
    calling: Calling
    filing: Filing
    metrics: ServiceMetrics
    tracing: Tracing
    deadline_s: float
    """Of everything but calls, which have their tool's."""
    threads: ThreadPoolExecutor

    async def match(self, exchange: Exchange, request: MatchRequest) -> dict[str, Any]:
        """The tools that answer a request."""
        with self._running(exchange, "match"):
            found = await self._search(exchange, request)
            return matched(found, self.catalogue, self.matcher.category, request.schema_tokens)

    async def explain(self, exchange: Exchange, request: MatchRequest) -> dict[str, Any]:
        """The same, with the scores of every arm, also of what was held back."""
        with self._running(exchange, "explain"):
            found = await self._search(exchange, request)
            return explained(found, self.catalogue, self.matcher.category)

    async def describe(self, exchange: Exchange, namespace: str, name: str) -> dict[str, Any]:
        """One tool whole."""
        with self._running(exchange, "describe"):
            entry = await self._seen(exchange, namespace, name)
            return described(entry, self.matcher.category(entry.tool.key))

    async def list_tools(self, exchange: Exchange, request: ListRequest) -> dict[str, Any]:
        """Tools by server, in a fixed order."""
        with self._running(exchange, "list"):
            found = [
                entry
                for entry in await self._visible_entries(exchange)
                if request.namespace in {"", entry.namespace}
                and request.server in {"", entry.tool.server}
            ]
            entries, cursor = page(found, request.cursor, request.limit)
            category = self.matcher.category
            return listed([(one, category(one.tool.key)) for one in entries], cursor)

    async def categories(self, exchange: Exchange) -> dict[str, Any]:
        """Categories of the tools that the caller sees."""
        with self._running(exchange, "categories"):
            entries = await self._visible_entries(exchange)
            counts = Counter(self.matcher.category(entry.tool.key) for entry in entries)
            counts.pop("", None)
            return {"categories": [{"name": n, "tools": counts[n]} for n in sorted(counts)]}

    async def assign_category(self, exchange: Exchange, request: AssignRequest) -> dict[str, Any]:
        """File some tools under a category."""
        with self._running(exchange, "assign"):
            tools = dict.fromkeys((one.namespace, one.name) for one in request.tools)
            entries = await asyncio.gather(*(self._seen(exchange, *one) for one in tools))
            return await self.filing.move(exchange.caller, entries, request.category)

    async def rename_category(self, exchange: Exchange, category: str, to: str) -> dict[str, Any]:
        """Rename a category; empty: leave its tools without one. Learned ones follow."""
        with self._running(exchange, "rename"):
            every = await self._visible_entries(exchange)
            entries = [one for one in every if one.spec.category == category]
            if not entries:
                message = (
                    f"category: no tool that you see has it by its own spec, got {category!r}; "
                    "see /v1/categories"
                )
                raise ServiceError(404, "not_found", message)
            return await self.filing.move(exchange.caller, entries, to)

    async def call(
        self, exchange: Exchange, namespace: str, name: str, arguments: dict[str, Any]
    ) -> Outcome:
        """Call one tool that the caller may call."""
        with self._running(exchange, "call"):
            entry = await self._seen(exchange, namespace, name)
            if not await self._may(exchange, "call", entry):
                message = (
                    f"tool {namespace}/{name}: you may not call it; ask for a Role that may "
                    "create agenttools/call"
                )
                raise ServiceError(403, "forbidden", message)
            return await self.calling.call(entry, arguments, exchange.trace)

    async def _search(self, exchange: Exchange, request: MatchRequest) -> Matches:
        visible = await self.access.visible(exchange.caller, self.catalogue.names())
        where = self._filter(visible, request)
        asked = request.min_confidence
        least = ABSTAIN_BELOW if asked is None else asked
        with self.tracing.search() as span:
            found = await self._in_thread(
                lambda: self.matcher.match_tools(
                    request.query, request.k, task=request.task, where=where, min_confidence=least
                )
            )
            tell(span, found)
        self.metrics.matched(found)
        return found

    def _filter(self, visible: Visible, request: MatchRequest) -> Filter:
        wanted = frozenset(request.namespaces)
        if visible.everything:
            namespaces, also = wanted, frozenset[str]()
        else:
            whole = visible.namespaces
            namespaces = whole & wanted if wanted else whole
            single = visible.tools | self.catalogue.shared()
            also = self.catalogue.keys(
                one for one in single if one[0] not in whole and (not wanted or one[0] in wanted)
            )
        nothing = not (visible.everything or namespaces or also)
        return Filter(
            namespaces=namespaces,
            # A key that no tool has: an empty filter would let everything through.
            also=frozenset({""}) if nothing else also,
            servers=frozenset(request.servers),
            categories=frozenset(request.categories),
            only_healthy=request.only_healthy,
        )

    async def _seen(self, exchange: Exchange, namespace: str, name: str) -> Entry:
        entry = self.catalogue.get(namespace, name)
        if entry is None or not await self._may(exchange, "get", entry):
            raise not_found(namespace, name)
        return entry

    async def _may(self, exchange: Exchange, verb: str, entry: Entry) -> bool:
        if entry.shared:
            return True
        return await self.access.may(exchange.caller, verb, entry.namespace, entry.name)

    async def _visible_entries(self, exchange: Exchange) -> list[Entry]:
        visible = await self.access.visible(exchange.caller, self.catalogue.names())
        entries = self.catalogue.entries()
        return [one for one in entries if one.shared or visible.includes(one.namespace, one.name)]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.deadline_s):
                return await loop.run_in_executor(self.threads, work)
        except TimeoutError as error:
            message = f"service: no answer within {self.deadline_s:g} s; try again"
            raise ServiceError(504, "timeout", message, retry_after_s=1) from error
        except ValueError as error:
            raise ServiceError(400, "invalid_request", str(error)) from error

    @contextmanager
    def _running(self, exchange: Exchange, operation: str) -> Iterator[None]:
        started, code = perf_counter(), "error"
        try:
            with (
                self.tracing.operation(operation, exchange.trace),
                self.admission.running_for(exchange.caller.name),
            ):
                yield
            code = "ok"
        except ServiceError as error:
            code = error.code
            raise
        finally:
            self.metrics.operation(operation, code, perf_counter() - started)

"""One call of a tool: checked, sent, tried again where that does no harm, counted."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from time import perf_counter
from typing import Any, Final

from flagscale_api.runtime.egress import AddressPolicy
from flagscale_workloads.agent.service.calls.arguments import ArgumentCheck
from flagscale_workloads.agent.service.calls.egress import EgressTransport
from flagscale_workloads.agent.service.calls.http_call import call_http
from flagscale_workloads.agent.service.calls.mcp_call import call_mcp
from flagscale_workloads.agent.service.calls.secrets import Secrets
from flagscale_workloads.agent.service.entries import Entry
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.metrics import ServiceMetrics
from flagscale_workloads.agent.service.outcome import Outcome
from flagscale_workloads.agent.service.tally import Tally
from flagscale_workloads.agent.service.tracing import Tracing, onward

ATTEMPTS: Final = 3
FIRST_PAUSE_S: Final = 0.2
ANSWER_BYTES: Final = 1 << 20
AGENT_CALL: Final = "flagscale_workloads.agent.service.calls.agent_call"
"""Imported by the first call of an agent: the SDK of A2A takes a second to load, and 50 MiB."""
TRY_AGAIN: Final = frozenset({429, 502, 503, 504})


class Calling:
    """Calls tools for callers who may."""

    def __init__(
        self,
        secrets: Secrets,
        trust: ssl.SSLContext,
        metrics: ServiceMetrics,
        tally: Tally,
        tracing: Tracing,
        *,
        policy: AddressPolicy,
    ) -> None:
        self._secrets = secrets
        self._trust = trust
        self._metrics = metrics
        self._tally = tally
        self._tracing = tracing
        self._policy = policy
        self._check = ArgumentCheck()

    async def call(
        self, entry: Entry, arguments: Mapping[str, Any], trace: Mapping[str, str]
    ) -> Outcome:
        """What the tool answers. Raises ServiceError."""
        check_callable(entry)
        spec = entry.spec
        self._check.check(spec.parameters, arguments)
        started, code = perf_counter(), "error"
        try:
            async with asyncio.timeout(spec.timeout_seconds):
                headers = {**trace, **await self._credential(entry)}
                outcome = await self._tried(entry, arguments, headers)
            code = "failed" if outcome.is_error else "ok"
            return replace(outcome, took_ms=(perf_counter() - started) * 1000)
        except TimeoutError as error:
            code = "timeout"
            message = f"tool: no answer within {spec.timeout_seconds:g} s; see spec.timeoutSeconds"
            raise ServiceError(504, code, message) from error
        except ServiceError as error:
            code = error.code
            raise
        finally:
            self._metrics.called(spec.kind, code)
            self._tally.called(entry.namespace, entry.name)

    async def _tried(
        self, entry: Entry, arguments: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Outcome:
        """Up to so many times, where that does no harm."""
        most = ATTEMPTS if entry.spec.idempotent else 1
        for attempt in range(1, most):
            try:
                outcome = await self._attempt(entry, arguments, headers)
                if outcome.status not in TRY_AGAIN:
                    return replace(outcome, attempts=attempt)
            except ServiceError as error:
                if not error.retryable:
                    raise
            self._metrics.retried()
            await asyncio.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        return replace(await self._attempt(entry, arguments, headers), attempts=most)

    async def _attempt(
        self, entry: Entry, arguments: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Outcome:
        with self._tracing.sending(f"{entry.namespace}/{entry.name}", entry.spec.kind):
            return await self._sent(entry, arguments, onward(headers))

    async def _credential(self, entry: Entry) -> dict[str, str]:
        auth = entry.spec.auth
        if auth is None:
            return {}
        value = await self._secrets.value(entry.namespace, auth.secret_key_ref)
        return {auth.header: f"{auth.scheme} {value}" if auth.scheme else value}

    async def _sent(
        self, entry: Entry, arguments: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Outcome:
        spec = entry.spec
        if spec.agent:
            return await self._handed_over(entry, spec.agent.url, arguments, headers)
        transport = EgressTransport(
            self._policy,
            internal_hosts=spec.egress.internal_hosts,
            limit_bytes=ANSWER_BYTES,
            trust=self._trust,
        )
        timeout_s = spec.timeout_seconds
        if spec.http:
            return await call_http(
                spec.http, arguments, headers=headers, transport=transport, timeout_s=timeout_s
            )
        if spec.mcp is None:
            raise _not_callable(entry)
        return await call_mcp(
            spec.mcp.url,
            spec.mcp.tool or entry.tool.name,
            arguments,
            headers=headers,
            transport=transport,
            timeout_s=timeout_s,
        )

    async def _handed_over(
        self, entry: Entry, url: str, arguments: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Outcome:
        module = await asyncio.to_thread(import_module, AGENT_CALL)
        transport = module.GuardedTransport(
            self._policy,
            internal=entry.spec.egress.internal_hosts,
            max_bytes=ANSWER_BYTES,
            trust=self._trust,
        )
        outcome: Outcome = await module.call_agent(
            url,
            entry.tool.name,
            arguments,
            headers=headers,
            transport=transport,
            timeout_s=entry.spec.timeout_seconds,
        )
        return outcome


def check_callable(entry: Entry) -> None:
    """Raises ServiceError 409 for a blocked tool, 422 for one that is not called here."""
    if entry.blocked:
        where = f"tool {entry.namespace}/{entry.name}"
        raise ServiceError(409, "schema_drifted", f"{where}: calls are blocked: {entry.blocked}")
    if entry.spec.kind == "function":
        raise _not_callable(entry)


def _not_callable(entry: Entry) -> ServiceError:
    where = f"tool {entry.namespace}/{entry.name}"
    what = "is a function; run it yourself, with arguments by its input schema"
    return ServiceError(422, "not_callable", f"{where}: {what}")

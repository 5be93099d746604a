"""The parts of one service, put together."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from flagscale_api import keys
from flagscale_api.runtime.egress import AddressPolicy
from flagscale_workloads.agent.service.access import RESOURCE, Access, AccessReviews, Everything
from flagscale_workloads.agent.service.admission import Admission
from flagscale_workloads.agent.service.app import ServiceApp
from flagscale_workloads.agent.service.callers import Anyone, Authenticator, TokenReviews
from flagscale_workloads.agent.service.calls.calling import Calling
from flagscale_workloads.agent.service.calls.secrets import KubeSecrets, NoSecrets, Secrets
from flagscale_workloads.agent.service.calls_status import CallsStatus
from flagscale_workloads.agent.service.catalogue import Catalogue, NamespaceSink
from flagscale_workloads.agent.service.core import THREADS, ToolService
from flagscale_workloads.agent.service.door import Entrance
from flagscale_workloads.agent.service.embedding.process_encoder import ProcessEncoder
from flagscale_workloads.agent.service.feeding import Feeder
from flagscale_workloads.agent.service.files import ToolFiles
from flagscale_workloads.agent.service.filing import Filing, KubeFiling, NoFiling
from flagscale_workloads.agent.service.kube.api import Account, KubeApi
from flagscale_workloads.agent.service.kube.watch import Watch
from flagscale_workloads.agent.service.mcp_door import McpDoor
from flagscale_workloads.agent.service.metrics import IndexCollector, ServiceMetrics
from flagscale_workloads.agent.service.news import News
from flagscale_workloads.agent.service.readiness import Readiness
from flagscale_workloads.agent.service.report import index_report
from flagscale_workloads.agent.service.settings import Settings
from flagscale_workloads.agent.service.tally import Tally
from flagscale_workloads.agent.service.tracing import tracing_of
from flagscale_workloads.agent.tool_match.encoders import Encoder, StaticEncoder
from flagscale_workloads.agent.tool_match.matcher import ToolMatcher
from flagscale_workloads.agent.tool_match.vectors import VectorStore


@dataclass(frozen=True, slots=True)
class Cluster:
    """What needs an API server; without one, its stand-ins for this machine."""

    api: KubeApi | None
    authenticator: Authenticator
    access: Access
    secrets: Secrets
    filing: Filing

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str]) -> "Cluster":
        """Raises NoClusterError."""
        if settings.tools:
            return cls(None, Anyone(), Everything(), NoSecrets(), NoFiling())
        api = KubeApi(Account.of_pod(environ, settings.service_account))
        ttl_s = settings.access_ttl_s
        access = AccessReviews(api, ttl_s=ttl_s, clock=monotonic)
        return cls(
            api,
            TokenReviews(api, audience=settings.audience, ttl_s=ttl_s, clock=monotonic),
            access,
            KubeSecrets(api, clock=monotonic),
            KubeFiling(api, access),
        )


class Assembly:
    """One service, made within a running event loop; `application` runs it."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Raises NoClusterError, ToolFilesError or sqlite3.Error."""
        self._settings = settings
        self.cluster = Cluster.of(settings, environ)
        self.embedder = ProcessEncoder()
        encoders: dict[str, Encoder] = {"dense": self.embedder, "static": StaticEncoder()}
        store = VectorStore(settings.vectors or ":memory:")
        self.matcher = ToolMatcher(encoders=encoders, store=store)
        self.news = News(self._tell)
        self.feeder = Feeder(self.matcher, on_applied=self.news.happened)
        self.catalogue = Catalogue(self.feeder, judged=self.cluster.api is not None)
        registry = CollectorRegistry()
        registry.register(IndexCollector(self.matcher, lambda: self.feeder.waiting))
        self.metrics = ServiceMetrics(registry)
        self._tally = Tally()
        self.tracing = tracing_of(environ)
        self._sources = self._make_sources()
        self.readiness = Readiness(self._loaded)
        self.admission = Admission(
            per_minute=settings.requests_per_minute,
            at_once=settings.caller_concurrency,
            in_all=settings.concurrency,
            clock=monotonic,
        )
        self.service = self._make_service()
        own_version = version("flagscale")
        self.mcp = McpDoor(self.service, version=own_version, body_bytes=settings.body_bytes)
        self.app = ServiceApp(
            self.service,
            self.mcp,
            self.readiness,
            registry,
            self._make_entrance(),
            lambda: index_report(self.catalogue, self.feeder, environ.get("POD_NAME", "")),
            version=own_version,
        )

    def application(self) -> Starlette:
        """The ASGI application; it lives as long as its lifespan."""
        return self.app.application(self._lifespan)

    def stop_listening(self) -> None:
        """Say that the end is near, and end the streams that would never end."""
        self.readiness.stopping = True
        self.mcp.close()

    async def _tell(self) -> None:
        await self.mcp.changed()

    def _make_sources(self) -> list[Watch] | list[ToolFiles]:
        api, files = self.cluster.api, self._settings.tools
        if api is None or files:
            return [ToolFiles(files or Path(), self.catalogue)]
        scopes = [f"/namespaces/{one}" for one in self._settings.namespaces] or [""]
        return [
            Watch(
                api,
                f"/apis/{keys.API_VERSION}{scope}/{RESOURCE}",
                NamespaceSink(self.catalogue, scope.rpartition("/")[2]),
                on_restart=self.metrics.watch_restarted,
            )
            for scope in scopes
        ]

    def _make_service(self) -> ToolService:
        settings = self._settings
        return ToolService(
            self.matcher,
            self.catalogue,
            self.cluster.access,
            self.admission,
            self._make_calling(),
            self.cluster.filing,
            self.metrics,
            self.tracing,
            settings.match_timeout_s,
            ThreadPoolExecutor(THREADS, thread_name_prefix="match"),
        )

    def _make_entrance(self) -> Entrance:
        body_bytes, local = self._settings.body_bytes, self.cluster.api is None
        return Entrance(self.cluster.authenticator, self.admission, body_bytes, local)

    def _make_calling(self) -> Calling:
        policy = AddressPolicy(loopback=self._settings.loopback_tools)
        trust = ssl.create_default_context()
        counted = (self.metrics, self._tally, self.tracing)
        return Calling(self.cluster.secrets, trust, *counted, policy=policy)

    def _loaded(self) -> bool:
        return all(one.listed.is_set() for one in self._sources) and not self.feeder.waiting

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.mcp.manager.run())
            work = [*(source.run() for source in self._sources), self.news.run()]
            if self.cluster.api:
                interval_s = self._settings.status_s
                work.append(CallsStatus(self.cluster.api, self._tally, interval_s).run())
            tasks = [asyncio.create_task(one) for one in work]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.to_thread(self._close)
                if self.cluster.api:
                    await self.cluster.api.aclose()

    def _close(self) -> None:
        self.feeder.close()
        self.embedder.close()
        self.matcher.close()
        self.service.threads.shutdown(wait=False, cancel_futures=True)
        self.tracing.close()

"""`ServeEngine`: one served model on one machine, from its configuration to its clean end."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from prometheus_client import CollectorRegistry

from flagscale_api.runtime.serve import ServeConfig
from flagscale_workloads.backends.adapter import BackendAdapter, Feature, MetricKind
from flagscale_workloads.serve.api_keys import KeyRing
from flagscale_workloads.serve.calls import CallReader, Hashed, endpoints_of
from flagscale_workloads.serve.deployment import Deployment
from flagscale_workloads.serve.discovery import discovery_of
from flagscale_workloads.serve.dispatch import Dispatcher
from flagscale_workloads.serve.engine_metrics import NEUTRAL, EngineMetrics
from flagscale_workloads.serve.forward import Ejection, Forwarder
from flagscale_workloads.serve.gateway import Gateway
from flagscale_workloads.serve.http.connection import ServerConnection
from flagscale_workloads.serve.http.exchange import Exchange
from flagscale_workloads.serve.http.listener import Listener
from flagscale_workloads.serve.http.upstream import Timeouts
from flagscale_workloads.serve.load_report import LoadReporter
from flagscale_workloads.serve.metrics import GatewayMetrics, ReplicaCollector
from flagscale_workloads.serve.policies import RouteKey, make_policy
from flagscale_workloads.serve.probing import Prober
from flagscale_workloads.serve.replicas import Replica, ReplicaSet
from flagscale_workloads.serve.websocket import SERVICE_RESTART

_log = logging.getLogger(__name__)
SWEEP_S: Final = 0.25
BACKLOG: Final = 2048
_HASHED: Final[dict[str, Hashed]] = {"consistentHash": "session", "prefixAware": "prompt"}


class DoorError(Exception):
    """The gateway can't listen where it is told to."""


class ServeEngine:
    """The gateway and its engines; `start_service`, `deploy_model`, then `stop`."""

    def __init__(
        self,
        config: ServeConfig,
        adapter: BackendAdapter,
        *,
        device: Literal["cpu", "cuda"],
        python: Path,
        environ: Mapping[str, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises KeysFileError when the keys can't be read."""
        self._config = config
        self._now = now
        self.replicas = ReplicaSet()
        self._prober = _prober(config, adapter, self.replicas, now)
        self._deployment = Deployment(config, adapter, device, python, environ, self.replicas, now)
        registry = CollectorRegistry()
        own = (config.model.name, config.model.revision)
        self._engine_metrics = EngineMetrics(self.replicas, *_measured(config, adapter), own)
        self.dispatcher = _dispatcher(config, self.replicas, now)
        registry.register(self._engine_metrics)
        registry.register(
            ReplicaCollector(self.replicas, lambda: self.dispatcher.waiting, now, own)
        )
        features = adapter.features(config.engine, device=device)
        self._gateway = _gateway(config, features, self.dispatcher, registry, now)
        self._listener = Listener(
            handle=self.handle_request,
            now=now,
            max_body_bytes=config.gateway.max_body_bytes,
            max_connections=config.gateway.max_connections,
            idle_timeout_s=config.gateway.idle_timeout_seconds,
            request_timeout_s=config.gateway.request_timeout_seconds,
        )
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._deploying: asyncio.Task[None] | None = None

    async def start_service(self) -> int:
        """Open the door; the port. Until `deploy_model` has ended, requests wait in the queue.

        Raises DoorError.
        """
        self._server = server = await self._listen()
        discovery = self._config.discovery
        if discovery:
            found = discovery_of(self.replicas, discovery)
            self._tasks.append(asyncio.create_task(found.run()))
        if self._config.load_report:
            told = LoadReporter(self._config.load_report, self.dispatcher, self._now)
            self._tasks.append(asyncio.create_task(told.run()))
        self._tasks += [
            asyncio.create_task(self._prober.run()),
            asyncio.create_task(self._sweep()),
        ]
        if self._engine_metrics.path:
            self._tasks.append(asyncio.create_task(self._engine_metrics.run()))
        return int(server.sockets[0].getsockname()[1])

    async def _listen(self) -> asyncio.Server:
        loop, door = asyncio.get_running_loop(), self._config.gateway
        try:
            return await loop.create_server(
                lambda: ServerConnection(self._listener, loop),
                door.host,
                door.port,
                backlog=BACKLOG,
            )
        except OSError as error:
            where = f"{door.host}:{door.port} ({error.strerror})"
            remedy = "take a free port, or 0 for any, and an address of this machine"
            msg = f"gateway.port: can't be listened on, got {where}; {remedy}"
            raise DoorError(msg) from error

    async def deploy_model(self) -> None:
        """Start the engines; returns once each has generated a token. Raises EngineExitedError.

        With `discovery` the replicas are elsewhere, and there is nothing to start.
        """
        if self._config.discovery:
            return
        self._deploying = asyncio.create_task(self._deployment.run())
        deployed = asyncio.create_task(self._deployment.deployed.wait())
        done, _ = await asyncio.wait(
            {self._deploying, deployed}, return_when=asyncio.FIRST_COMPLETED
        )
        deployed.cancel()
        if self._deploying in done:
            _raise_first(self._deploying)

    async def run(self) -> None:
        """Until an engine's restarts are spent, which raises EngineExitedError.

        What watches the replicas must not end, either: without it the gateway would go on blindly.
        """
        running = {*self._tasks, *([self._deploying] if self._deploying else [])}
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            _raise_first(task)

    async def handle_request(self, exchange: Exchange) -> None:
        """Answer one request of a client."""
        await self._gateway.handle_request(exchange)

    def load_balance(self, key: RouteKey) -> Replica | None:
        """The replica that a request with this key would get now; None when all are busy."""
        return self.dispatcher.choose(key)

    async def stop(self) -> None:
        """Refuse new work, let running requests end in time, then end the engines."""
        self._gateway.draining = True
        if self._server:
            self._server.close()
        self._listener.close_idle()
        for session in list(self._gateway.sessions):
            if not session.busy:
                session.close(SERVICE_RESTART, "connect again")
        deadline = self._now() + self._config.gateway.drain_timeout_seconds
        while self._listener.connections and self._now() < deadline:
            await asyncio.sleep(0.05)
            for session in list(self._gateway.sessions):
                if not session.busy:
                    session.close(SERVICE_RESTART, "connect again")
        if left := len(self._listener.connections):
            _log.warning("gateway: %d connections did not end in time; closed", left)
        for connection in list(self._listener.connections):
            connection.transport.abort()
        await _end([*self._tasks, *([self._deploying] if self._deploying else [])])
        for replica in list(self.replicas):
            self.replicas.remove(replica.name)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            self._listener.expire()
            if self._gateway.keys:
                self._gateway.keys.reload()
            now = loop.time()
            self.replicas.expire(now)
            for replica in self._deployment.starting:
                replica.pool.expire(now)
            # An ejection that has ended is noticed here: nobody else wakes the queue for it.
            self.dispatcher.wake()


def _raise_first(task: "asyncio.Task[None]") -> None:
    """What a task group failed with, as a single error."""
    error = task.exception()
    if isinstance(error, BaseExceptionGroup):
        raise error.exceptions[0]
    if error:
        raise error


async def _end(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task


def _measured(
    config: ServeConfig, adapter: BackendAdapter
) -> tuple[str | None, Mapping[MetricKind, str]]:
    """Where replicas tell their metrics, and under which names."""
    if config.discovery:
        return "/metrics", NEUTRAL
    return adapter.metrics_path, adapter.metric_aliases


def _prober(
    config: ServeConfig, adapter: BackendAdapter, replicas: ReplicaSet, now: Callable[[], float]
) -> Prober:
    health = config.health
    return Prober(
        replicas,
        "/health" if config.discovery else adapter.health_path,
        interval_s=health.interval_seconds,
        timeout_s=health.timeout_seconds,
        failures=health.failures,
        now=now,
        doors=config.discovery is not None,
    )


def _dispatcher(config: ServeConfig, replicas: ReplicaSet, now: Callable[[], float]) -> Dispatcher:
    return Dispatcher(
        replicas,
        make_policy(config.routing, rng=random.Random(config.engine.seed)),  # noqa: S311
        per_replica_concurrency=config.gateway.per_replica_concurrency,
        queue_size=config.gateway.queue.size,
        queue_timeout_s=config.gateway.queue.timeout_seconds,
        hold_timeout_s=config.gateway.queue.hold_seconds or config.gateway.queue.timeout_seconds,
        now=now,
    )


def _gateway(
    config: ServeConfig,
    features: frozenset[Feature],
    dispatcher: Dispatcher,
    registry: CollectorRegistry,
    now: Callable[[], float],
) -> Gateway:
    model, door = config.model, config.gateway
    metrics = GatewayMetrics(registry, model=model.name, revision=model.revision)
    forwarder = Forwarder(
        dispatcher,
        metrics,
        Timeouts(
            door.first_byte_timeout_seconds,
            door.idle_timeout_seconds,
            door.request_timeout_seconds,
        ),
        Ejection(config.health.failures, config.health.ejection_seconds),
        retries=door.retries,
        now=now,
    )
    return Gateway(
        model=model.name,
        created=int(time.time()),
        reader=CallReader(
            model.name,
            features,
            _HASHED.get(config.routing.policy, "nothing"),
            config.routing.hash_header.encode(),
        ),
        forwarder=forwarder,
        metrics=metrics,
        registry=registry,
        now=now,
        endpoints=endpoints_of(features),
        keys=KeyRing(Path(config.auth.keys_file), now) if config.auth else None,
        max_message_bytes=door.max_body_bytes,
    )

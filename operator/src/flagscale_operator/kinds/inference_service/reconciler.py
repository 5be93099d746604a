"""The shell around the pure plan: read the view, carry out the plan, write what changed."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from flagscale_api.v1alpha1.engine_choice import why_chosen
from flagscale_api.v1alpha1.inference_service_status import InferenceServiceStatus
from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.store import Manifest
from flagscale_operator.controller.view import ClusterView, referred_train_job
from flagscale_operator.errors import ApiError, InvalidSpecError
from flagscale_operator.kinds.inference_service.children import ChildRefusedError, Children
from flagscale_operator.kinds.inference_service.facts import (
    Observed,
    observe_serving_pod,
    observe_train_job,
)
from flagscale_operator.kinds.inference_service.load import LoadSource
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.reconcile import plan
from flagscale_operator.kinds.inference_service.status import blocked_status, with_engine
from flagscale_operator.kinds.inference_service.view import (
    ServiceView,
    parse_inference_service,
)
from flagscale_operator.kinds.ownership import is_owned
from flagscale_operator.kinds.reporting import Recorder, Reporter
from flagscale_operator.kinds.spec import read_status
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import INFERENCE_SERVICE

BLOCKED_RETRY_S: Final = 15.0
_GOOD_REASONS: Final = frozenset({"Downloading", "Loading", "RollingUpdate", "TrainJobNotReady"})


class InferenceServiceReconciler:
    """Brings one InferenceService at a time towards its spec."""

    def __init__(
        self,
        *,
        kube: Kube,
        view: ClusterView,
        load: LoadSource,
        events: Recorder,
        context: ServingContext,
        clock: Callable[[], datetime],
    ) -> None:
        self._kube = kube
        self._view = view
        self._load = load
        self._events = events
        self._context = context
        self._clock = clock
        self._children = Children(kube=kube, stores=view.serving_children)
        self._reporter = Reporter(
            kind=INFERENCE_SERVICE,
            kube=kube,
            store=view.inference_services,
            events=events,
            good_reasons=_GOOD_REASONS,
            # A new service's first state is no news.
            silent_reasons=("Starting",),
        )

    async def reconcile(self, key: Key) -> float | None:
        """One pass; the seconds after which to look again although nothing has changed."""
        body = self._view.inference_services.get((key.namespace, key.name))
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._children.forget(key.namespace, key.name)
            self._load.forget(key.namespace, key.name)
            return None
        try:
            service = parse_inference_service(body)
        except InvalidSpecError as error:
            await self._block(body, error.reason, str(error))
            return None
        decided = plan(service, self._observe(body, service), self._context, now=self._clock())
        try:
            for kind, manifest in decided.apply:
                await self._children.apply(service, kind, manifest)
            for child in decided.delete:
                await self._children.delete(service, child)
            for kind, manifest in decided.replace:
                await self._children.replace(kind, manifest)
            for kind, manifest in decided.report:
                await self._children.report(kind, manifest)
        except ChildRefusedError as refused:
            reason, message = refused.explained()
            if reason is None:
                raise refused.error from refused
            status = await self._block(body, reason, message, service)
            await self._tell_engine(body, service, status)
            return BLOCKED_RETRY_S
        await self._write(body, service.status, decided.status)
        await self._tell_engine(body, service, decided.status)
        if decided.scaling.replicas is not None:
            await self._scale(service, decided.scaling.replicas)
        return decided.look_again_s

    async def _tell_engine(
        self, body: Manifest, service: ServiceView, status: InferenceServiceStatus
    ) -> None:
        """Which engine was chosen, and why."""
        engine = status.engine
        if engine and engine != service.status.engine and service.spec.engine.name == "auto":
            words = f"spec.engine.name auto stands for {engine}: {why_chosen(service.spec, engine)}"
            await self._events.post(body, "Normal", "EngineChosen", words)

    async def _scale(self, service: ServiceView, replicas: int) -> None:
        """From none or to none, unless the service has changed since it was decided."""
        where = (service.namespace, service.name)
        known = self._view.inference_services.get(where)
        version = known["metadata"].get("resourceVersion") if known else None
        try:
            await self._kube.scale(INFERENCE_SERVICE, *where, replicas, version=version)
        except ApiError as error:
            if not error.conflict:
                raise

    def _observe(self, body: Manifest, service: ServiceView) -> Observed:
        owner = (service.namespace, service.name)
        job = self._view.train_jobs.get((service.namespace, referred_train_job(body) or ""))
        return Observed(
            stored=self._children.stored(service),
            pods=tuple(
                observe_serving_pod(pod)
                for pod in self._view.serving_pods.owned_by(owner)
                if is_owned(pod, service.uid)
            ),
            train_job=observe_train_job(job) if job else None,
            load=self._load.newest(*owner) if service.spec.autoscaling else None,
            accepted=self._children.accepted(service),
        )

    async def _block(
        self, body: Manifest, reason: str, message: str, service: ServiceView | None = None
    ) -> InferenceServiceStatus:
        before = read_status(InferenceServiceStatus, body)
        status = blocked_status(
            with_engine(service) if service else before,
            generation=body["metadata"].get("generation", 1),
            reason=reason,
            message=message,
            available=None,
            now=self._clock(),
        )
        await self._write(body, before, status)
        return status

    async def _write(
        self, body: Manifest, before: InferenceServiceStatus, status: InferenceServiceStatus
    ) -> None:
        if status != before:
            await self._reporter.write(body, status)
            await self._reporter.tell(body, before.conditions, status.conditions)
            scaled = status.last_scaling
            if scaled and scaled != before.last_scaling:
                steps = f"{scaled.from_replicas} to {scaled.to_replicas} engine pods"
                words = f"{steps}: {scaled.reason}; {scaled.message}"
                await self._events.post(body, "Normal", "Scaled", words)

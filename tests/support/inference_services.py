"""Builders of InferenceServices and of what is observed of them, for tests of decisions."""

from dataclasses import replace
from typing import Any

from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec
from flagscale_api.v1alpha1.inference_service_status import InferenceServiceStatus
from flagscale_api.v1alpha1.train_job_status import Artifact
from flagscale_operator.kinds.inference_service.facts import (
    ChildKey,
    Manifest,
    Observed,
    ServingPod,
)
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.reconcile import Plan, plan
from flagscale_operator.kinds.inference_service.source import TrainJobFact
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.pod_state import Termination
from support.spec_schema import merged
from support.train_jobs import at

SPEC: dict[str, Any] = {
    "model": {"volume": {"claimName": "models", "path": "tiny/model"}},
    "engine": {"name": "transformers"},
    "runtime": "pods",
}
FROM_JOB: dict[str, Any] = {"model": {"volume": None, "trainJobRef": {"name": "job"}}}
CONTEXT = ServingContext(
    image="flagscale-serving:test", progress_url="https://progress", progress_ca="CA PEM"
)


def make_service(
    status: InferenceServiceStatus | None = None, *, generation: int = 1, **spec: Any
) -> ServiceView:
    """A service whose spec is overridden by `spec` (as in YAML)."""
    return ServiceView(
        namespace="ns",
        name="svc",
        uid="uid-1",
        generation=generation,
        spec=InferenceServiceSpec.model_validate(merged(SPEC, spec)),
        status=status or InferenceServiceStatus(),
    )


def train_job(phase: str = "Succeeded", digest: str | None = "sha256:1") -> TrainJobFact:
    """The TrainJob that a service refers to; without digest it has no artifact."""
    artifact = digest and Artifact(
        uri="pvc://training/out/model", format="huggingface", digest=digest, size_bytes=1
    )
    return TrainJobFact("job", phase, artifact or None)


def settled(body: Manifest) -> Manifest:
    """A child as the API server has it once its controller is done."""
    wanted = body["spec"].get("replicas", 1)
    counts = ("replicas", "updatedReplicas", "readyReplicas")
    status = {"observedGeneration": 1, **dict.fromkeys(counts, wanted)}
    return {**body, "metadata": {**body["metadata"], "generation": 1}, "status": status}


def stored(decided: Plan, *, done: bool = True) -> dict[ChildKey, Manifest]:
    """What was applied, in the API server."""
    return {
        (kind.kind, body["metadata"]["name"]): settled(body) if done else body
        for kind, body in decided.apply
    }


def engine_pod(revision: str | None, index: int = 0, **facts: Any) -> ServingPod:
    """A ready engine pod."""
    base = ServingPod(
        name=f"svc-engine-{index}",
        component="engine",
        revision=revision or "",
        ready=True,
        running=True,
        deleting=False,
    )
    return replace(base, **facts)


def gateway_pod(**facts: Any) -> ServingPod:
    """A ready gateway."""
    return replace(engine_pod(""), name="svc-gateway-0", component="gateway", **facts)


def ended(code: int = 1, message: str = "", reason: str = "Error") -> Termination:
    """How a container ended."""
    return Termination(code, None, reason, message, at(5))


def step(service: ServiceView, seen: Observed, seconds: float = 0) -> tuple[ServiceView, Plan]:
    """Decide at a moment, and the service as it is after its status was written."""
    decided = plan(service, seen, CONTEXT, now=at(seconds))
    return replace(service, status=decided.status), decided


def serving(**spec: Any) -> tuple[ServiceView, Observed]:
    """A service that serves, and what is seen of it."""
    service, first = step(make_service(**spec), Observed({}, train_job=train_job()))
    revision = service.status.revision
    pods = [engine_pod(revision, index) for index in range(service.spec.replicas)]
    seen = Observed(stored(first), (*pods, gateway_pod()), train_job())
    service, _ = step(service, seen, 10)
    return service, seen


def ready(decided: Plan) -> tuple[str, str, str]:
    """Status, reason and message of the Ready condition."""
    condition = next(c for c in decided.status.conditions if c.type == "Ready")
    return condition.status, condition.reason, condition.message

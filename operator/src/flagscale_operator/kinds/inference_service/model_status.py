"""What status says of the model: where it comes from, what was found, whether it is loaded."""

from collections.abc import Sequence

from flagscale_api.v1alpha1.inference_service_status import LoadFailure, ModelState, ModelStatus
from flagscale_operator.kinds.inference_service.download_state import download_failure
from flagscale_operator.kinds.inference_service.facts import Observed, ServingPod
from flagscale_operator.kinds.inference_service.failures import newest_failure
from flagscale_operator.kinds.inference_service.readiness import Rollout
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView


def model_status(
    service: ServiceView, source: ModelSource, observed: Observed, rollout: Rollout, *, failed: bool
) -> ModelStatus:
    """The model of the revision that is to serve; `failed`: the service is not ready."""
    revision, told = rollout.revision, rollout.desired.failure
    pods = [p for p in observed.pods_of("engine") if p.revision == revision]
    before = service.status.model if service.status.revision == revision else None
    digest, commit = _downloaded(pods, before) if source.download else (source.digest, None)
    return ModelStatus(
        name=service.served_name,
        uri=source.uri,
        digest=digest,
        commit=commit,
        train_job=source.train_job,
        state=_state(pods, told, failed=failed, wanted=service.spec.replicas > 0),
        last_failure=told or _last_failure(pods) or (before.last_failure if before else None),
    )


def _downloaded(
    pods: Sequence[ServingPod], before: ModelStatus | None
) -> tuple[str | None, str | None]:
    """Digest and commit as a pod found them; as they were while there is no such pod."""
    for pod in sorted(pods, key=lambda p: p.name):
        if pod.download and pod.download.outcome:
            return pod.download.outcome.digest, pod.download.outcome.revision
    return (before.digest, before.commit) if before else (None, None)


def _last_failure(pods: Sequence[ServingPod]) -> LoadFailure | None:
    return newest_failure(pods) or download_failure((p.name, p.download) for p in pods)


def _state(
    pods: Sequence[ServingPod], told: LoadFailure | None, *, failed: bool, wanted: bool
) -> ModelState:
    if any(p.ready for p in pods):
        return "Loaded"
    if failed and (told or _last_failure([p for p in pods if not p.ready])):
        return "FailedToLoad"
    if any(p.running for p in pods):
        return "Loading"
    if any(p.downloading for p in pods):
        return "Downloading"
    return "Pending" if wanted else "Unloaded"

"""The finished model, as the pod of rank 0 left it in its termination message.

The message outlives the operator and the progress server, so a job that ended while nobody
listened still gets its artifact.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from flagscale_api.v1alpha1.train_job import TrainJobSpec
from flagscale_api.v1alpha1.train_job_status import Artifact
from flagscale_operator.kinds.train_job.facts import PodFact
from flagscale_operator.kinds.train_job.told import read_told


def read_result(pods: Sequence[PodFact]) -> dict[str, Any]:
    """The `result` object that rank 0 wrote on success, or an empty one."""
    first = next((p for p in pods if p.index == 0 and p.termination), None)
    if first is None or first.termination is None:
        return {}
    result = read_told(first.termination.message).get("result")
    return result if isinstance(result, dict) else {}


def read_artifact(pods: Sequence[PodFact], *, spec: TrainJobSpec) -> Artifact | None:
    """The artifact with its location as claim and path, or None when none was reported."""
    raw = read_result(pods).get("artifact")
    try:
        artifact = Artifact.model_validate(raw)
    except ValidationError:
        return None
    return artifact.model_copy(update={"uri": claim_uri(artifact.uri, spec)})


def claim_uri(uri: str, spec: TrainJobSpec) -> str:
    """`pvc://<claim>/<path>` for a path on one of the job's volumes; others stay as they are."""
    path = PurePosixPath(uri.removeprefix("file://"))
    # Of a claim that is mounted into another one, the inner holds the files.
    for volume in sorted(spec.volumes.values(), key=lambda v: len(v.mount_path), reverse=True):
        if path.is_relative_to(volume.mount_path):
            return f"pvc://{volume.claim_name}/{path.relative_to(volume.mount_path)}"
    return uri

"""An InferenceService as one machine can serve it (pure)."""

from typing import Any, Final

from flagscale_runner.base import Manifest

NOTES: Final = "flagscale.dev/local-notes"
"""Annotation: how the service differs here from what its file says."""


def service_here(body: Manifest) -> Manifest:
    """The same, on pods and of a fixed size; how it differs is noted."""
    spec: dict[str, Any] = dict(body["spec"])
    notes = []
    if spec.get("runtime") == "rayservice":
        notes.append("spec.runtime: rayservice runs as plain processes here")
    if "upgradeDeadlineSeconds" in spec:
        notes.append("spec.upgradeDeadlineSeconds: is Ray Serve's, and nothing here")
        del spec["upgradeDeadlineSeconds"]
    if scaled := spec.pop("autoscaling", None):
        # None at all would never be woken: what does that is the operator's.
        spec["replicas"] = max(1, scaled.get("minReplicas", 1))
        notes.append(f"spec.autoscaling: stays at {spec['replicas']} here, whatever the load")
    metadata = dict(body.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), NOTES: "; ".join(notes)}
    return {**body, "metadata": metadata, "spec": {**spec, "runtime": "pods"}}


def with_notes(body: Manifest) -> Manifest:
    """The service with a condition that tells the notes, if there are any."""
    metadata, status = body["metadata"], body.get("status") or {}
    notes = (metadata.get("annotations") or {}).get(NOTES)
    if not notes or not status.get("conditions"):
        return body
    condition = {
        "type": "Simplified",
        "status": "True",
        "reason": "OneMachine",
        "message": notes,
        "observedGeneration": metadata["generation"],
        "lastTransitionTime": metadata["creationTimestamp"],
    }
    return {**body, "status": {**status, "conditions": [*status["conditions"], condition]}}

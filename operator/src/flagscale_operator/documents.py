"""A file of objects: read, and refused where the API server would refuse it."""

from typing import Any, Final

import yaml

from flagscale_api import keys
from flagscale_api.meta import ResourceKind
from flagscale_api.v1alpha1.agent_tool_source import AGENT_TOOL_SOURCE
from flagscale_api.v1alpha1.inference_service_status import INFERENCE_SERVICE
from flagscale_api.v1alpha1.train_job_status import TRAIN_JOB
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.spec import parse_spec

Manifest = dict[str, Any]
_KINDS: Final = (TRAIN_JOB, INFERENCE_SERVICE, AGENT_TOOL_SOURCE)
_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


def read_documents(text: str) -> list[Manifest]:
    """The objects of a YAML file; raises InvalidSpecError for what can't be one."""
    documents = [d for d in yaml.safe_load_all(text) if d]
    for number, document in enumerate(documents, start=1):
        metadata = document.get("metadata") if isinstance(document, dict) else None
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            got = f"{document!r:.80}"
            msg = f"document {number}: no Kubernetes object, got {got}; give it metadata.name"
            raise InvalidSpecError(msg)
        check_document(document)
    return documents


def check_document(document: Manifest) -> None:
    """Raises InvalidSpecError for a field or a name that is not one; other kinds are not judged."""
    found = [kind for kind in _KINDS if kind.kind == document.get("kind")]
    for kind in found:
        try:
            _check(kind, document)
        except InvalidSpecError as error:
            where = f"{kind.kind} {document['metadata']['name']}"
            raise InvalidSpecError(f"{where}: {error}", error.reason) from error


def _check(kind: ResourceKind, document: Manifest) -> None:
    version, name = document.get("apiVersion"), document["metadata"]["name"]
    if version != keys.API_VERSION:
        raise InvalidSpecError(f"apiVersion: is unknown, got {version}; use {keys.API_VERSION}")
    if unknown := sorted(map(str, set(document) - _FIELDS)):
        raise InvalidSpecError(f"{unknown[0]}: is no field of it; remove it, or put it into spec")
    for rule in kind.name_rules:
        if rule.holds and not rule.holds(name):
            raise InvalidSpecError(f"{rule.message}, got {name!r:.80}; choose another name")
    parse_spec(kind.spec_model, document, unknown="forbid")

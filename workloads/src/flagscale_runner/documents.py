"""Files of resources: read, and checked without a cluster."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from flagscale_api import keys
from flagscale_api.meta import ResourceKind
from flagscale_api.v1alpha1.agent_tool_source import AGENT_TOOL_SOURCE
from flagscale_api.v1alpha1.agent_tool_status import AGENT_TOOL
from flagscale_api.v1alpha1.inference_service_status import INFERENCE_SERVICE
from flagscale_api.v1alpha1.train_job_status import TRAIN_JOB
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.spec import parse_spec
from flagscale_runner.base import Manifest, RunnerError, Target

RESOURCES: Final[dict[str, ResourceKind]] = {
    kind.kind: kind for kind in (TRAIN_JOB, INFERENCE_SERVICE, AGENT_TOOL, AGENT_TOOL_SOURCE)
}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_TOP_LEVEL: Final = {"apiVersion", "kind", "metadata", "spec", "status"}


def read_documents(path: Path) -> list[Manifest]:
    """Raises RunnerError naming the file and the line."""
    try:
        documents = [d for d in yaml.safe_load_all(path.read_text()) if d is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunnerError(f"{path}: can't be read: {error}") from error
    for document in documents:
        if not isinstance(document, dict):
            raise RunnerError(f"{path}: a document is no resource, got {document!r:.60}")
    if not documents:
        raise RunnerError(f"{path}: holds no resource; write one, as in the samples")
    return documents


def validated(body: Manifest) -> Target:
    """The resource that a document is; RunnerError with every mistake in it."""
    kind, version = body.get("kind"), body.get("apiVersion")
    known = RESOURCES.get(str(kind)) if version == keys.API_VERSION else None
    if known is None:
        wanted = f"{keys.API_VERSION} with {' or '.join(RESOURCES)}"
        raise RunnerError(f"kind: is not ours, got {version} {kind}; use {wanted}")
    metadata = body.get("metadata") or {}
    target = Target(str(kind), metadata.get("namespace") or "default", str(metadata.get("name")))
    for part in (target.namespace, target.name):
        if not _NAME.fullmatch(part):
            raise RunnerError(
                f"metadata: is no DNS label, got {part!r}; use a-z, 0-9 and '-', at most 63"
            )
    for rule in known.name_rules:
        if rule.holds and not rule.holds(target.name):
            raise RunnerError(f"{rule.message}, got {target.name!r}; choose another")
    if unknown := sorted(set(body) - _TOP_LEVEL):
        raise RunnerError(f"{target}: unknown, got {', '.join(unknown)}; it belongs into spec")
    try:
        parse_spec(known.spec_model, body, unknown="forbid")
    except InvalidSpecError as error:
        raise RunnerError(f"{target}: {error}") from error
    return target


def mistakes(path: Path) -> Iterator[str]:
    """One sentence per wrong document of a file."""
    for number, document in enumerate(read_documents(path), 1):
        try:
            validated(document)
        except RunnerError as error:
            yield f"{path}: document {number}: {error}"

"""`python -m flagscale_operator render FILE`: exactly what the operator would make of a file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flagscale_operator.contexts import serving_context, training_context
from flagscale_operator.documents import read_documents
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.agent_tool_source.render import render_tools
from flagscale_operator.kinds.agent_tool_source.view import offer_of, parse_agent_tool_source
from flagscale_operator.kinds.inference_service.facts import observe_train_job
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.render import render_children
from flagscale_operator.kinds.inference_service.source import NoSource, TrainJobFact, find_source
from flagscale_operator.kinds.inference_service.view import parse_inference_service
from flagscale_operator.kinds.train_job.backends.pytorchjob import render_attempt
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.kinds.train_job.reconciler import parse_train_job
from flagscale_operator.outside.addresses import OutsideError
from flagscale_operator.settings import Settings

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RenderContexts:
    """Facts of the installation, for each kind."""

    training: RenderContext
    serving: ServingContext


def render_documents(documents: Sequence[Manifest], contexts: RenderContexts) -> list[Manifest]:
    """The objects that our kinds in a file become; nothing for other kinds.

    Of a TrainJob it is the first attempt. An InferenceService with a trainJobRef needs the
    TrainJob, finished, in the same file, an AgentToolSource the ConfigMap with its document: no
    server is asked.

    Raises:
        InvalidSpecError: an object can't work as written.
    """
    jobs = {
        d["metadata"]["name"]: observe_train_job(d)
        for d in documents
        if d.get("kind") == "TrainJob"
    }
    rendered: list[Manifest] = []
    for document in documents:
        metadata = {"namespace": "default", "uid": "", **document.get("metadata", {})}
        body = {**document, "metadata": metadata}
        if document.get("kind") == "TrainJob":
            job = parse_train_job({**body, "status": {}})
            suspend = job.spec.suspend
            rendered.append(render_attempt(job, contexts.training, attempt=1, suspend=suspend))
        elif document.get("kind") == "InferenceService":
            rendered += _serving(body, jobs, contexts.serving)
        elif document.get("kind") == "AgentToolSource":
            rendered += _tools(body, documents)
    return rendered


def _tools(body: Manifest, documents: Sequence[Manifest]) -> list[Manifest]:
    """The AgentTools of a source; operations that can't be tools are left out."""
    from flagscale_operator.outside.openapi_tools import list_openapi_tools

    source = parse_agent_tool_source(body)
    offer = offer_of(source)
    texts = [
        d["data"][offer.document.key]
        for d in documents
        if offer.document
        and d.get("kind") == "ConfigMap"
        and d["metadata"]["name"] == offer.document.name
    ]
    if not texts:
        told = (
            f"AgentToolSource {source.name}: its tools are its server's to tell; only a document "
            "in a ConfigMap in the same file is rendered"
        )
        raise InvalidSpecError(told)
    try:
        listing = list_openapi_tools(texts[0].encode(), url="", server_url=offer.server_url)
    except OutsideError as error:
        raise InvalidSpecError(error.message, error.reason) from error
    return list(render_tools(source, listing).tools.values())


def _serving(
    body: Manifest, jobs: dict[str, TrainJobFact], context: ServingContext
) -> list[Manifest]:
    service = parse_inference_service(body)
    reference = service.spec.model.train_job_ref
    job = jobs.get(reference.name) if reference else None
    source = find_source(service.spec.model, job, service.status.model)
    if isinstance(source, NoSource):
        raise InvalidSpecError(source.message, source.reason)
    return [manifest for _, manifest in render_children(service, source, context)]


def run_render(file: Path, settings: Settings) -> int:
    """Print the rendered YAML; 1 with a sentence on stderr when the file is not usable."""
    ca_pem = "(the operator's CA certificate)"
    contexts = RenderContexts(training_context(settings, ca_pem), serving_context(settings, ca_pem))
    try:
        documents = read_documents(file.read_text())
        rendered = render_documents(documents, contexts)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, InvalidSpecError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    print(yaml.safe_dump_all(rendered, sort_keys=False), end="")
    return 0

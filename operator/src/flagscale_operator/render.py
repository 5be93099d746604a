"""`python -m flagscale_operator render FILE`: exactly what the operator would make of a file."""

import sys
from pathlib import Path
from typing import Any

import yaml

from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.train_job.backends.pytorchjob import render_attempt
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.kinds.train_job.reconciler import parse_train_job
from flagscale_operator.settings import Settings

Manifest = dict[str, Any]


def render_document(document: Manifest, context: RenderContext) -> list[Manifest]:
    """The objects of the first attempt of a TrainJob; nothing for other kinds.

    Raises:
        InvalidSpecError: the TrainJob can't work as written.
    """
    if document.get("kind") != "TrainJob":
        return []
    metadata = {"namespace": "default", "uid": "", **document.get("metadata", {})}
    job = parse_train_job({**document, "metadata": metadata, "status": {}})
    return [render_attempt(job, context, attempt=1, suspend=job.spec.suspend)]


def run_render(file: Path, settings: Settings) -> int:
    """Print the rendered YAML; 1 with a sentence on stderr when the file is not usable."""
    context = RenderContext(
        trainer_image=settings.trainer_image,
        progress_url=settings.effective_progress_url,
        progress_ca="(the operator's CA certificate)",
        image_pull_policy=settings.image_pull_policy,
    )
    try:
        documents = [d for d in yaml.safe_load_all(file.read_text()) if d]
        rendered = [m for d in documents for m in render_document(d, context)]
    except (OSError, yaml.YAMLError, KeyError, InvalidSpecError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    print(yaml.safe_dump_all(rendered, sort_keys=False), end="")
    return 0

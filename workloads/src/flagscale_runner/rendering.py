"""What the operator makes of a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from flagscale_operator.contexts import serving_context, training_context
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.render import RenderContexts, render_documents
from flagscale_operator.settings import load_settings
from flagscale_runner.base import RunnerError
from flagscale_runner.documents import read_documents, validated

_CA: Final = "(the operator's CA certificate)"


def rendered(file: Path, environ: Mapping[str, str]) -> str:
    """YAML of all objects; images are those of `environ` (FLAGSCALE_TRAINER_IMAGE and so on).

    Raises RunnerError when a document can't work as written.
    """
    documents = read_documents(file)
    for document in documents:
        validated(document)
    try:
        settings = load_settings(environ)
        contexts = RenderContexts(training_context(settings, _CA), serving_context(settings, _CA))
        objects = render_documents(documents, contexts)
    except InvalidSpecError as error:
        raise RunnerError(f"{file}: {error}") from error
    return yaml.safe_dump_all(objects, sort_keys=False)

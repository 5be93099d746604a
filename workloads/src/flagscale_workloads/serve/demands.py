"""What a request asks of an engine beyond its endpoint: refused where the engine lacks it."""

from collections.abc import Collection, Mapping
from typing import Any

from flagscale_workloads.backends.adapter import Feature
from flagscale_workloads.serve.http.messages import HttpError


def check_demands(document: Mapping[str, Any], features: Collection[Feature], model: str) -> None:
    """Raise HttpError 400 for the first field that an engine with these features can't honour.

    Engines differ in what they do with such a field: some refuse it, others answer as if it were
    not there, which a client only notices when its program breaks.
    """
    for field, feature in _demands(document):
        if feature not in features:
            message = f"{field}: the engine of {model} has no {feature}; remove it"
            raise HttpError(400, "not_supported", message, field)


def _demands(document: Mapping[str, Any]) -> list[tuple[str, Feature]]:
    found: list[tuple[str, Feature]] = []
    if document.get("tools") and document.get("tool_choice") != "none":
        found.append(("tools", "tool_calls"))
    if document.get("functions"):
        found.append(("functions", "tool_calls"))
    if _form(document.get("response_format")) == "json_schema":
        found.append(("response_format", "json_schema"))
    text = document.get("text")
    if isinstance(text, dict) and _form(text.get("format")) == "json_schema":
        found.append(("text.format", "json_schema"))
    # A 0 asks for the chosen token's probability only.
    if document.get("logprobs") is not None and document["logprobs"] is not False:
        found.append(("logprobs", "logprobs"))
    return found


def _form(value: object) -> object:
    return value.get("type") if isinstance(value, dict) else None

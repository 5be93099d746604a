"""A spec as a model: read once, and every mistake told by field and value."""

from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from flagscale_api.meta import ApiModel
from flagscale_operator.errors import InvalidSpecError

Spec = TypeVar("Spec", bound=ApiModel)


def parse_spec(
    model: type[Spec], body: dict[str, Any], *, unknown: Literal["ignore", "forbid"] = "ignore"
) -> Spec:
    """The spec of an object as the API server has it; raises InvalidSpecError.

    Unknown fields of an object that is in the cluster are ignored: a newer CRD must not stop an
    older operator. Those of a file are mistakes.
    """
    try:
        return model.model_validate(body.get("spec") or {}, extra=unknown)
    except ValidationError as error:
        raise InvalidSpecError("; ".join(sentences(error))) from error


def sentences(error: ValidationError) -> list[str]:
    """What is wrong with a spec, by field and value."""
    return [
        f"spec.{'.'.join(str(part) for part in e['loc'])}: {e['msg']}, got {e['input']!r:.80}"
        if e["type"] != "value_error"
        else str(e["msg"]).removeprefix("Value error, ")
        for e in error.errors(include_url=False)
    ]

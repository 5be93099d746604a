"""A spec as a model: read once, and every mistake told by field and value."""

from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from flagscale_api.meta import ApiModel, StatusModel
from flagscale_operator.errors import InvalidSpecError

Spec = TypeVar("Spec", bound=ApiModel)
Status = TypeVar("Status", bound=StatusModel)


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


def read_status(model: type[Status], body: dict[str, Any]) -> Status:
    """The status of an object, but for fields that can't be read: they are observed anew.

    Another version of the operator, or somebody with rights to it, may have written them.
    """
    told = body.get("status") or {}
    try:
        return model.model_validate(told)
    except ValidationError as error:
        damaged = {mistake["loc"][0] for mistake in error.errors(include_url=False)}
        return model.model_validate({k: v for k, v in told.items() if k not in damaged})


def sentences(error: ValidationError) -> list[str]:
    """What is wrong with a spec, by field and value."""
    return [
        f"spec.{'.'.join(str(part) for part in e['loc'])}: {e['msg']}, got {e['input']!r:.80}"
        if e["type"] != "value_error"
        else str(e["msg"]).removeprefix("Value error, ")
        for e in error.errors(include_url=False)
    ]

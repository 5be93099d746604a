"""What every resource of the group shares: the model base, CEL rules, metadata, conditions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class CelRule:
    """One `x-kubernetes-validations` entry of the object it is declared on.

    `rule` is CEL over `self` (and `oldSelf` for transitions). `message` follows the house form
    `<path>: <what is wrong>; <what is allowed>`; `field_path` (JSONPath such as `.steps`) makes the
    API server name the field. `holds` says the same in Python, for files that never meet an API
    server; transitions have none. With `optional_old_self` a transition also holds for creation,
    where `oldSelf.hasValue()` is false.
    """

    rule: str
    message: str
    field_path: str | None = None
    holds: Callable[[Any], bool] | None = None
    optional_old_self: bool = False


# "-a99-worker-511" is the longest suffix of a pod; its name must stay a DNS label.
NAMES_OF_PODS: Final = (
    CelRule(
        "self.metadata.name.size() <= 45",
        "metadata.name: must be at most 45 characters, so that its pods' names fit into 63",
        holds=lambda name: len(name) <= 45,
    ),
    CelRule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name: must be a DNS-1035 label: lower-case letters, digits and '-', "
        "beginning with a letter",
        holds=lambda name: re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name) is not None,
    ),
)


class ApiModel(BaseModel):
    """Frozen camelCase model that refuses unknown fields; the source of a CRD schema."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=False,
    )
    cel_rules: ClassVar[tuple[CelRule, ...]] = ()

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        for rule in self.cel_rules:
            if rule.holds and not rule.holds(self):
                raise ValueError(rule.message)
        return self


class StatusModel(ApiModel):
    """A status object: written by us and read back, so fields of a newer operator are kept out."""

    model_config = ConfigDict(extra="ignore")


class Condition(StatusModel):
    """metav1.Condition, with the generation it was computed from."""

    type: str = Field(description="Type of the condition in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int | None = Field(
        default=None, description="metadata.generation that this condition was computed from."
    )
    last_transition_time: str = Field(description="When status last changed, RFC 3339 UTC.")
    reason: str = Field(description="Machine-readable cause in CamelCase.")
    message: str = Field(default="", description="What happened and what to do next.")


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """A column of `kubectl get`; `wide` columns show with `-o wide` only."""

    name: str
    json_path: str
    type: Literal["string", "integer", "number", "date"] = "string"
    description: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the scale subresource finds its figures in the object (JSON paths)."""

    wanted: str
    current: str
    selector: str


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """What a CRD says besides its schema."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    columns: tuple[PrinterColumn, ...]
    spec_model: type[ApiModel]
    status_model: type[ApiModel]
    list_map_keys: tuple[str, ...] = ()
    scale: ScalePaths | None = None
    name_rules: tuple[CelRule, ...] = NAMES_OF_PODS

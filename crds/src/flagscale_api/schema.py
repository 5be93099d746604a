"""A structural OpenAPI schema from a pydantic model, as Kubernetes wants it.

Kubernetes takes no `$ref`, no `anyOf` of types and no `null`: an optional field is simply absent.
Defaults are written into the schema, so the API server fills them in and CEL rules may rely on the
fields being there.
"""

from typing import Any

from flagscale_api.meta import ApiModel, CelRule

Schema = dict[str, Any]

_COPIED = (
    "description",
    "enum",
    "pattern",
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "maxProperties",
    "minProperties",
    "minimum",
    "maximum",
)
_LIST_KEYS = {
    "Condition": "type",
    "Attempt": "number",
    "EnvVar": "name",
    "HttpArgument": "argument",
}


def structural_schema(model: type[ApiModel]) -> Schema:
    """The schema of a model with everything inlined, its CEL rules included."""
    document = model.model_json_schema(by_alias=True)
    return _Inliner(document.get("$defs", {}), _models(model)).object_of(document, model)


def _models(model: type[ApiModel]) -> dict[str, type[ApiModel]]:
    """All models reachable from one, by name: pydantic's definitions carry no class."""
    found: dict[str, type[ApiModel]] = {}
    pending: list[Any] = [model]
    while pending:
        current = pending.pop()
        pending.extend(getattr(current, "__args__", ()))
        known = getattr(current, "__name__", "") in found
        if not known and isinstance(current, type) and issubclass(current, ApiModel):
            found[current.__name__] = current
            pending.extend(f.annotation for f in current.model_fields.values())
    return found


class _Inliner:
    def __init__(self, definitions: dict[str, Schema], models: dict[str, type[ApiModel]]) -> None:
        self._definitions = definitions
        self._models = models

    def object_of(self, node: Schema, model: type[ApiModel]) -> Schema:
        schema: Schema = {"type": "object"}
        if node.get("description"):
            schema["description"] = node["description"].strip()
        required = sorted(node.get("required", ()))
        schema["properties"] = {
            name: self._without_default(child) if name in required else self.of(child)
            for name, child in node.get("properties", {}).items()
        }
        if required:
            schema["required"] = required
        if node.get("additionalProperties") is True:
            schema["x-kubernetes-preserve-unknown-fields"] = True
        if model.cel_rules:
            schema["x-kubernetes-validations"] = [validation(rule) for rule in model.cel_rules]
        return schema

    def of(self, node: Schema) -> Schema:
        schema = self._typed(node)
        # pydantic leaves the defaults of list and dict factories out.
        empty: Any = [] if schema.get("type") == "array" and "minItems" not in schema else None
        empty = {} if "additionalProperties" in schema else empty
        # A field's own description and default say more than those of its type.
        if node.get("description"):
            schema["description"] = node["description"]
        if node.get("default") is not None:
            schema["default"] = node["default"]
        elif empty is not None and "anyOf" not in node:
            schema["default"] = empty
        elif schema.get("type") == "object" and _defaulted(schema):
            # In full: the API server checks a default against the rules before it fills it in.
            schema["default"] = {
                name: child["default"]
                for name, child in schema["properties"].items()
                if "default" in child
            }
        return schema

    def _without_default(self, node: Schema) -> Schema:
        """A required field, or an item of a list or map: never absent."""
        return {key: value for key, value in self.of(node).items() if key != "default"}

    def _typed(self, node: Schema) -> Schema:
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            return self.object_of(self._definitions[name], self._models[name])
        if "anyOf" in node:
            only, *others = (n for n in node["anyOf"] if n.get("type") != "null")
            if others:
                # A structural schema has no union of scalars: the model tells what is allowed.
                return {"x-kubernetes-preserve-unknown-fields": True}
            return {**self._typed(only), "x-optional": True}
        schema = {key: node[key] for key in _COPIED if key in node}
        schema["type"] = node["type"]
        if "const" in node:
            schema["enum"] = [node["const"]]
        return {**schema, **self._details(node)}

    def _details(self, node: Schema) -> Schema:
        kind = node["type"]
        if kind == "array":
            item = self._without_default(node["items"])
            name = node["items"].get("$ref", "").rpartition("/")[2]
            listing: Schema = {"items": item}
            if name in _LIST_KEYS:
                listing["x-kubernetes-list-type"] = "map"
                listing["x-kubernetes-list-map-keys"] = [_LIST_KEYS[name]]
            return listing
        if kind == "object":
            # Patterns of map keys are beyond a structural schema: CEL rules say those.
            keyed = node.get("patternProperties") or {}
            values = next(iter(keyed.values()), node.get("additionalProperties"))
            if isinstance(values, dict):
                return {"additionalProperties": self._without_default(values)}
            return {"x-kubernetes-preserve-unknown-fields": True}
        if kind == "integer":
            return {"format": "int64"}
        if kind == "number":
            bounds = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
            return {
                key: value
                for strict, loose in bounds
                if strict in node
                for key, value in ((loose, node[strict]), (strict, True))
            }
        return {}


def _defaulted(schema: Schema) -> bool:
    """Whether an absent object can be filled in: a model none of whose fields is required."""
    optional = schema.pop("x-optional", False)
    return "properties" in schema and not schema.get("required") and not optional


def validation(rule: CelRule) -> Schema:
    """One `x-kubernetes-validations` entry."""
    entry: Schema = {"rule": rule.rule, "message": rule.message}
    if rule.field_path:
        entry["fieldPath"] = rule.field_path
    if rule.optional_old_self:
        entry["optionalOldSelf"] = True
    return entry


def without_hints(schema: Any) -> Any:  # noqa: ANN401 - walks any JSON
    """The schema without what only its construction needed."""
    if isinstance(schema, dict):
        return {k: without_hints(v) for k, v in schema.items() if k != "x-optional"}
    return [without_hints(v) for v in schema] if isinstance(schema, list) else schema


def without_defaults(schema: Any) -> Any:  # noqa: ANN401 - walks any JSON
    """A status schema: nothing is filled in that nobody has written."""
    if isinstance(schema, dict):
        return {
            k: without_defaults(v)
            for k, v in schema.items()
            if k != "default" or (isinstance(v, dict) and "type" in v)
        }
    return [without_defaults(v) for v in schema] if isinstance(schema, list) else schema

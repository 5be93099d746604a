"""One operation of an OpenAPI document as a tool (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flagscale_api.v1alpha1.tool_endpoint import BODILESS, HttpArgument, HttpEndpoint
from flagscale_operator.outside.openapi_schema import SchemaReader, UnsupportedError
from flagscale_operator.outside.remote_tools import RemoteTool, canonical

Json = Mapping[str, Any]
METHODS: Final = ("get", "head", "post", "put", "patch", "delete")
IDEMPOTENT: Final = ("get", "head", "put", "delete")
IGNORED_HEADERS: Final = ("accept", "content-type", "authorization")
"""Parameters of these names have no meaning (OpenAPI 3.1, section 4.8.12.1)."""
PLACES: Final = ("path", "query", "header")
STYLES: Final = {"path": "simple", "query": "form", "header": "simple"}
REF_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class Operation:
    """Where an operation is in its document."""

    document: Json
    path: str
    method: str
    body: Json
    shared: Json
    """The path item that it stands in."""

    @property
    def name(self) -> str:
        """Its operationId, or its method and path."""
        return str(self.body.get("operationId") or f"{self.method}_{self.path.strip('/')}")

    @property
    def description(self) -> str:
        """What it says of itself."""
        for text in (self.body.get("description"), self.body.get("summary")):
            if isinstance(text, str) and text.strip():
                return text.strip()
        return f"{self.method.upper()} {self.path}"


@dataclass(slots=True)
class _Arguments:
    """Gathered while an operation is read."""

    properties: dict[str, Any] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    places: list[HttpArgument] = field(default_factory=list)

    def add(self, name: str, place: str, schema: Any, *, required: bool, default: str) -> None:  # noqa: ANN401 - any JSON
        """`default` is where it would go unlisted."""
        argument = name if name not in self.properties else f"{place}_{name}"
        if argument in self.properties:
            msg = f"has two arguments {argument}"
            raise UnsupportedError(msg)
        self.properties[argument] = schema
        if required:
            self.required.append(argument)
        if place != default or argument != name:
            given = {"argument": argument, "in": place, "name": None if argument == name else name}
            self.places.append(HttpArgument.model_validate(given))


def tool_of(operation: Operation, base_url: str, *, is_3_0: bool) -> RemoteTool:
    """The tool.

    Raises:
        UnsupportedError: it needs what calls can't do.
        ValueError: its URL or an argument breaks a rule of AgentTool.
    """
    components = operation.document.get("components") or {}
    reader = SchemaReader(components.get("schemas") or {}, is_3_0=is_3_0)
    arguments = _Arguments()
    for parameter in _parameters(operation):
        _add_parameter(arguments, parameter, reader, operation)
    whole = _add_body(arguments, operation, reader)
    schema: dict[str, Any] = {"type": "object"}
    if arguments.properties:
        schema["properties"] = arguments.properties
    if arguments.required:
        schema["required"] = arguments.required
    if reader.definitions:
        schema["$defs"] = reader.definitions
    said = {
        "url": base_url.rstrip("/") + operation.path,
        "method": operation.method.upper(),
        "arguments": arguments.places,
        "bodyArgument": whole,
    }
    endpoint = HttpEndpoint.model_validate(said)
    lacking = set(endpoint.placeholders) - {a.wire_name for a in arguments.places}
    lacking -= set(arguments.properties)
    if lacking:
        msg = f"has {', '.join(sorted(lacking))} in its path, and no such parameter"
        raise UnsupportedError(msg)
    return RemoteTool(
        name=operation.name,
        description=operation.description,
        parameters=canonical(schema),
        idempotent=operation.method in IDEMPOTENT,
        http=endpoint,
    )


def resolved(document: Json, node: Any) -> Json:  # noqa: ANN401 - any JSON
    """What a local reference leads to. Raises UnsupportedError."""
    for _ in range(REF_DEPTH):
        if not isinstance(node, Mapping):
            msg = "has something that is no object where one is needed"
            raise UnsupportedError(msg)
        to = node.get("$ref")
        if not isinstance(to, str):
            return node
        if not to.startswith("#/"):
            msg = f"refers to another document, {to[:100]}"
            raise UnsupportedError(msg)
        node = document
        for part in to[2:].split("/"):
            node = node.get(part.replace("~1", "/").replace("~0", "~"), {})
    msg = "refers in a circle"
    raise UnsupportedError(msg)


def _parameters(operation: Operation) -> list[Json]:
    """Those of the path, then those of the operation, which win."""
    found: dict[tuple[str, str], Json] = {}
    for owner in (operation.shared, operation.body):
        for node in owner.get("parameters") or ():
            parameter = resolved(operation.document, node)
            found[str(parameter.get("in")), str(parameter.get("name"))] = parameter
    return list(found.values())


def _add_parameter(
    arguments: _Arguments, parameter: Json, reader: SchemaReader, operation: Operation
) -> None:
    name, place = str(parameter.get("name")), str(parameter.get("in"))
    required = bool(parameter.get("required"))
    if place == "header" and name.lower() in IGNORED_HEADERS:
        return
    plain = "schema" in parameter and parameter.get("style", STYLES.get(place)) == STYLES.get(place)
    plain = plain and (place != "query" or parameter.get("explode", True) is True)
    if place not in PLACES or not plain:
        if not required:
            return
        msg = f"needs parameter {name} in {place}, in a form that calls don't have"
        raise UnsupportedError(msg)
    schema = dict(_object(reader.read(parameter["schema"])))
    if parameter.get("description"):
        schema.setdefault("description", str(parameter["description"]))
    default = "query" if operation.method.upper() in BODILESS else "body"
    default = "path" if f"{{{name}}}" in operation.path else default
    arguments.add(name, place, schema, required=required, default=default)


def _add_body(arguments: _Arguments, operation: Operation, reader: SchemaReader) -> str | None:
    """Members of an object become arguments, anything else one argument, which is told."""
    if "requestBody" not in operation.body or operation.method.upper() in BODILESS:
        return None
    body = resolved(operation.document, operation.body["requestBody"])
    required = bool(body.get("required"))
    content = body.get("content") or {}
    media = next((content[kind] for kind in content if kind.split(";")[0].endswith("json")), None)
    if media is None:
        if not required:
            return None
        msg = f"needs a body that is not JSON but {', '.join(map(str, content)) or 'nothing'}"
        raise UnsupportedError(msg)
    raw = media.get("schema", {})
    top = resolved(operation.document, raw)
    members = top.get("properties")
    composed = any(key in top for key in ("allOf", "anyOf", "oneOf"))
    if isinstance(members, Mapping) and not composed and top.get("type", "object") == "object":
        needed = top.get("required") or () if required else ()
        for name, schema in members.items():
            in_url = f"{{{name}}}" in operation.path
            arguments.add(
                str(name),
                "body",
                reader.read(schema),
                required=name in needed,
                default="path" if in_url else "body",
            )
        return None
    name = "body" if "body" not in arguments.properties else "request_body"
    arguments.properties[name] = reader.read(raw)
    if required:
        arguments.required.append(name)
    return name


def _object(schema: Any) -> Json:  # noqa: ANN401 - any JSON
    return schema if isinstance(schema, Mapping) else {}

"""An OpenAPI document as tools: each operation is one (pure, but for the parser's import)."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin

import yaml
from openapi_pydantic import parse_obj
from pydantic import ValidationError

from flagscale_operator.outside.addresses import OutsideError
from flagscale_operator.outside.openapi_operation import METHODS, Operation, resolved, tool_of
from flagscale_operator.outside.openapi_schema import UnsupportedError
from flagscale_operator.outside.remote_tools import Listing, RemoteTool

NODES: Final = 500_000
"""A document of a few lines can grow to any size by YAML's aliases."""
DEPTH: Final = 128
Json = Mapping[str, Any]


def list_openapi_tools(text: bytes, *, url: str, server_url: str | None) -> Listing:
    """All operations; `url` is where the document came from, empty for a ConfigMap.

    Raises:
        OutsideError: the text is no OpenAPI 3 document, or names no server.
    """
    document = _parsed(text)
    try:
        parse_obj(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _invalid(f"{where}: {first['msg']}".lstrip(": ")[:500]) from error
    base = server_url or _base(document, url)
    tools: list[RemoteTool] = []
    refused: list[tuple[str, str]] = []
    for operation in _operations(document):
        try:
            is_3_0 = str(document.get("openapi", "")).startswith("3.0")
            tools.append(tool_of(operation, base, is_3_0=is_3_0))
        except UnsupportedError as error:
            refused.append((operation.name, str(error)))
        except ValidationError as error:
            told = error.errors(include_url=False, include_context=False)[0]["msg"]
            refused.append((operation.name, str(told).removeprefix("Value error, ")))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            refused.append((operation.name, f"can't be read ({type(error).__name__})"))
    info = document["info"]
    twice = {name for name, count in Counter(tool.name for tool in tools).items() if count > 1}
    refused += [(name, "is the name of two operations; give each an operationId") for name in twice]
    return Listing(
        tools=tuple(tool for tool in tools if tool.name not in twice),
        server=f"{info['title']} {info['version']}".strip(),
        refused=tuple(refused),
    )


def _operations(document: Json) -> list[Operation]:
    found = []
    for path, item in (document.get("paths") or {}).items():
        try:
            shared = resolved(document, item)
        except UnsupportedError:
            continue
        found += [
            Operation(document, str(path), method, shared[method], shared)
            for method in METHODS
            if isinstance(shared.get(method), Mapping)
        ]
    return found


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        try:
            _check_depth(text)
            document = yaml.load(text, Loader=yaml.CSafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            words = " ".join(str(error).split())[:200]
            raise _invalid(f"neither JSON nor YAML ({words})") from error
    except RecursionError as error:
        raise _invalid("nested too deeply") from error
    if not isinstance(document, dict):
        raise _invalid(f"must be an object, got {type(document).__name__}")
    if _too_many(document):
        raise _invalid(f"more than {NODES} values")
    return document


def _check_depth(text: bytes) -> None:
    """The loader in C recurses without a limit, and would take the process with it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise _invalid(f"nested more than {DEPTH} deep")


def _too_many(document: Json) -> bool:
    pending: list[Any] = [document]
    seen = 0
    while pending:
        node = pending.pop()
        seen += 1
        if seen > NODES:
            return True
        if isinstance(node, Mapping):
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return False


def _base(document: Json, url: str) -> str:
    servers = document.get("servers") or ()
    first: Any = servers[0] if servers else {"url": "/"}
    template = str(first.get("url", "/"))
    for name, variable in (first.get("variables") or {}).items():
        template = template.replace(f"{{{name}}}", str(variable.get("default", "")))
    base = urljoin(url, template)
    if not base.startswith(("http://", "https://")):
        told = f"its server is {template[:100]}; say the base URL in spec.openApi.serverUrl"
        raise _invalid(told)
    return base


def _invalid(what: str) -> OutsideError:
    return OutsideError("InvalidDocument", f"the OpenAPI document: {what}")

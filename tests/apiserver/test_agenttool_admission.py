"""What the API server itself refuses, accepts and shows of AgentTools: no operator runs."""

import json
from typing import Any

import pytest
import yaml

from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_api.v1alpha1.agent_tool_source import AgentToolSourceSpec
from support.agent_tools import HTTP, PARAMETERS, SOURCE, SPEC, agent_tool, tool_source
from support.install import ROOT
from support.kubectl import Kubectl
from support.spec_schema import as_json, merged

pytestmark = pytest.mark.usefixtures("crds")
SAMPLES = sorted(ROOT.glob("crds/samples/agenttool*.yaml"))
TOOL_BODIES = [one for path in SAMPLES for one in yaml.safe_load_all(path.read_text())]
HIDDEN = "may not contain control characters"
URL = "https://api.example.org"
KEY = {"secretKeyRef": {"name": "s", "key": "k"}}


def http(**endpoint: Any) -> dict[str, Any]:
    return {"http": {"url": f"{URL}/orders/{{id}}", **endpoint}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"describtion": "x"}, 'unknown field "spec.describtion"'),
        ({"description": None}, "spec.description: Required value"),
        ({"description": ""}, "spec.description: Invalid value"),
        ({"description": "x" * (1 << 20)}, "spec.description: Too long: may not be more than 8192"),
        ({"description": "a\x07b"}, f"spec.description: {HIDDEN}"),
        ({"description": "safe\u202etxt"}, f"spec.description: {HIDDEN}"),
        ({"description": "hi\U000e0041"}, f"spec.description: {HIDDEN}"),
        ({"name": "has space"}, "spec.name: Invalid value"),
        ({"name": "x" * 129}, "spec.name: Too long: may not be more than 128"),
        ({"category": " padded"}, "spec.category: Invalid value"),
        ({"category": "a\u202eb"}, f"spec.category: {HIDDEN}"),
        ({"tags": ["a", "b", "a"]}, "spec.tags: each may occur once"),
        ({"tags": ["a\u2066"]}, f"spec.tags: {HIDDEN}"),
        ({"tags": [str(i) for i in range(33)]}, "spec.tags: Too many: 33: must have at most 32"),
        ({"exampleQueries": ["a", "a"]}, "spec.exampleQueries: each may occur once"),
        ({"exampleQueries": ["x" * 513]}, "spec.exampleQueries[0]: Too long"),
        ({"exampleQueries": ["a\x00b"]}, f"spec.exampleQueries: {HIDDEN}"),
        ({"parameters": {"type": "array"}}, "spec.parameters.type: Unsupported value"),
        ({"parameters": [1]}, "spec.parameters"),
        ({"parameters": {"required": "id"}}, "spec.parameters.required: Invalid value"),
        (
            {"parameters": {"properties": {str(i): {} for i in range(129)}}},
            "spec.parameters.properties: Too many: 129: must have at most 128",
        ),
        ({"timeoutSeconds": 0}, "spec.timeoutSeconds"),
        ({"timeoutSeconds": 601}, "spec.timeoutSeconds"),
        ({"sharing": "everybody"}, "spec.sharing: Unsupported value"),
        ({"approvedSchemaDigest": "yes"}, "spec.approvedSchemaDigest: Invalid value"),
        ({"auth": KEY}, "spec.auth: a function has no endpoint"),
        (merged(HTTP, {"auth": {"secretKeyRef": {"name": "s"}}}), "secretKeyRef.key: Required"),
        (merged(HTTP, {"mcp": {"url": URL}}), "spec: at most one of http, mcp and agent"),
        ({"mcp": {"url": "ftp://a/b"}}, "spec.mcp.url: Invalid value"),
        ({"mcp": {"url": "https://user:pw@a/b"}}, "spec.mcp.url: Invalid value"),
        ({"agent": {"url": "https://a/b c"}}, "spec.agent.url: Invalid value"),
        (http(method="TRACE"), "spec.http.method: Unsupported value"),
        (http(url="https://{host}/x"), "spec.http.url: Invalid value"),
        (
            http(arguments=[{"argument": "a", "in": "cookie"}]),
            "spec.http.arguments[0].in: Unsupported value",
        ),
        (
            http(arguments=[{"argument": "a", "in": "path"}]),
            "spec.http.arguments: what goes to the path needs a {placeholder}",
        ),
        (
            http(arguments=[{"argument": "a", "in": "header", "name": "Authorization"}]),
            "no argument may set the headers host,",
        ),
        (
            http(arguments=[{"argument": "a", "in": "header", "name": "X: y"}]),
            "no argument may set the headers host,",
        ),
        (http(arguments=[{"argument": "a", "in": "body"}]), "GET, HEAD and DELETE have no body"),
        (http(method="DELETE", bodyArgument="a"), "GET, HEAD and DELETE have no body"),
        (
            http(arguments=[{"argument": "a", "in": "query"}, {"argument": "a", "in": "path"}]),
            'spec.http.arguments[1]: Duplicate value: {"argument":"a"}',
        ),
        (
            {"egress": {"internalHosts": ["a", "a"]}},
            "spec.egress.internalHosts: each may occur once",
        ),
        ({"egress": {"internalHosts": ["http://a"]}}, "spec.egress.internalHosts[0]: Invalid"),
    ],
)
def test_a_bad_tool_is_refused_by_field(
    kubectl: Kubectl, namespace: str, change: dict[str, Any], told: str
) -> None:
    # Not `apply`: that keeps a copy in an annotation, which has a limit of its own.
    text = json.dumps(agent_tool(merged(SPEC, change)))
    done = kubectl("create", "-n", namespace, "-f", "-", text=text)
    assert done.returncode == 1, done.stdout
    assert told in done.stderr


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "spec: exactly one of mcp and openApi is needed"),
        (merged(SOURCE, {"openApi": {"url": URL}}), "spec: exactly one of mcp and openApi"),
        ({"openApi": {}}, "spec.openApi: exactly one of url and configMapKeyRef is needed"),
        (merged(SOURCE, {"maxTools": 1025}), "spec.maxTools: Invalid value: 1025"),
        (merged(SOURCE, {"resyncSeconds": 9}), "spec.resyncSeconds: Invalid value: 9"),
        (merged(SOURCE, {"include": ["a", "a"]}), "spec.include: each may occur once"),
        (merged(SOURCE, {"exclude": ["a b"]}), "spec.exclude[0]: Invalid value"),
        (merged(SOURCE, {"tags": ["a", "a"]}), "spec.tags: each may occur once"),
    ],
)
def test_a_bad_source_is_refused_by_field(
    kubectl: Kubectl, namespace: str, spec: dict[str, Any], told: str
) -> None:
    done = kubectl.apply(tool_source(spec), namespace)
    assert done.returncode == 1, done.stdout
    assert told in done.stderr


def test_the_name_of_a_source_fits_into_a_label(kubectl: Kubectl, namespace: str) -> None:
    done = kubectl.apply(tool_source(SOURCE, "x" * 64), namespace)
    assert "metadata.name: must be at most 63 characters" in done.stderr
    assert kubectl.apply(agent_tool(SPEC, "x" * 253), namespace).returncode == 0


def test_two_objects_of_one_name_are_refused(kubectl: Kubectl, namespace: str) -> None:
    text = json.dumps(agent_tool(SPEC))
    assert kubectl("create", "-n", namespace, "-f", "-", text=text).returncode == 0
    again = kubectl("create", "-n", namespace, "-f", "-", text=text)
    assert 'agenttools.flagscale.dev "tool" already exists' in again.stderr


@pytest.mark.parametrize("body", TOOL_BODIES, ids=lambda one: one["metadata"]["name"])
def test_samples_are_accepted_as_the_model_reads_them(
    kubectl: Kubectl, namespace: str, body: dict[str, Any]
) -> None:
    done = kubectl.apply(body, namespace)
    assert (done.returncode, done.stderr) == (0, "")
    kind, name = body["kind"], body["metadata"]["name"]
    model = {"AgentTool": AgentToolSpec, "AgentToolSource": AgentToolSourceSpec}[kind]
    stored = json.loads(kubectl("get", kind, name, "-n", namespace, "-o", "json").stdout)["spec"]
    assert stored == as_json(model.model_validate(body["spec"]))


def test_every_keyword_of_a_schema_is_kept(kubectl: Kubectl, namespace: str) -> None:
    rich = merged(
        PARAMETERS,
        {
            "additionalProperties": False,
            "$defs": {"x": {"oneOf": [{"type": "string"}, {"type": "null"}]}},
            "dependentRequired": {"id": ["other"]},
        },
    )
    assert kubectl.apply(agent_tool({**SPEC, "parameters": rich}), namespace).returncode == 0
    done = kubectl("get", "tool", "tool", "-n", namespace, "-o", "json")
    assert json.loads(done.stdout)["spec"]["parameters"] == {"type": "object", **rich}


def test_get_shows_the_columns(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(agent_tool({**SPEC, "category": "text"}), namespace)
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": ""}
    condition = {**ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"server": "api.example.org", "kind": "http", "calls": 7, "conditions": [condition]}
    flags = ("-n", namespace, "--subresource=status", "--type=merge")
    patch = json.dumps({"status": status})
    assert kubectl("patch", "tool", "tool", *flags, "-p", patch).returncode == 0
    header, row = kubectl("get", "agenttools", "-n", namespace).stdout.splitlines()
    assert header.split() == ["NAME", "CATEGORY", "SERVER", "READY", "CALLS", "AGE"]
    assert row.split()[:-1] == ["tool", "text", "api.example.org", "True", "7"]


def test_explain_describes_a_nested_field(kubectl: Kubectl) -> None:
    assert "Link-local" in kubectl("explain", "tool.spec.egress.internalHosts").stdout
    assert "wildcards" in kubectl("explain", "toolsource.spec.include").stdout

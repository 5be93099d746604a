"""Where a tool runs, as whom it is called, and which addresses that may reach."""

import re
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.v1alpha1.common import SecretKeyRef
from flagscale_api.v1alpha1.tool_text import each_once

_HOST: Final = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][-.A-Za-z0-9]*)(:[0-9]{1,5})?"
Url = Annotated[
    str, StringConstraints(pattern=rf"^https?://{_HOST}(/[^\s?#@{{}}]*)?$", max_length=2048)
]
UrlTemplate = Annotated[
    str,
    StringConstraints(pattern=rf"^https?://{_HOST}(/[^\s?#@]*)?(\?[^\s#{{}}]*)?$", max_length=2048),
]
HostName = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Za-z][-.:0-9A-Za-z]*$", max_length=253)
]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_]*$", max_length=128)
]
ArgumentName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Place = Literal["path", "query", "header", "body"]
BODILESS: Final = ("GET", "HEAD", "DELETE")
OWN_HEADERS: Final = (
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "cookie",
    "authorization",
)
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")


class HttpArgument(ApiModel):
    """Where one argument of a call goes in the HTTP request."""

    argument: ArgumentName = Field(description="Argument, as in spec.parameters.properties.")
    place: Place = Field(
        alias="in",
        description="path: a {placeholder} of the URL; query; header; body: a member of the JSON "
        "body.",
    )
    name: ArgumentName | None = Field(
        default=None, description="Its name there; unset: the argument's own."
    )

    @property
    def wire_name(self) -> str:
        """Its name in the request."""
        return self.name or self.argument


class HttpEndpoint(ApiModel):
    """An HTTP operation that a call becomes one request to."""

    url: UrlTemplate = Field(
        description="http:// or https:// URL; {name} in its path stands for an argument."
    )
    method: Method = Field(default="GET", description="HTTP method.")
    arguments: list[HttpArgument] = Field(
        default_factory=list,
        max_length=128,
        description="Where arguments go. Those not listed go to the placeholder of their name, "
        "else to the query for GET, HEAD and DELETE, and to the JSON body for others. Arrays in a "
        "query are repeated.",
    )
    body_argument: ArgumentName | None = Field(
        default=None,
        description="Argument whose value is the whole JSON body; unset: an object of the "
        "arguments that go to the body.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "self.arguments.all(a, a.__in__ != 'path' || "
            "self.url.contains('{' + (has(a.name) ? a.name : a.argument) + '}'))",
            "spec.http.arguments: what goes to the path needs a {placeholder} of its name in "
            "spec.http.url; add it, or choose another place",
            ".arguments",
            holds=lambda http: all(
                f"{{{a.wire_name}}}" in http.url for a in http.arguments if a.place == "path"
            ),
        ),
        CelRule(
            "self.arguments.all(a, a.__in__ != 'header' || "
            "((has(a.name) ? a.name : a.argument).matches('^[A-Za-z0-9][-A-Za-z0-9_]*$') && "
            f"!((has(a.name) ? a.name : a.argument).lowerAscii() in {list(OWN_HEADERS)})))",
            f"spec.http.arguments: no argument may set the headers {', '.join(OWN_HEADERS)}, and "
            "names of others are letters, digits, '-' and '_'; spec.auth sends credentials",
            ".arguments",
            holds=lambda http: all(
                re.search("^[A-Za-z0-9][-A-Za-z0-9_]*$", a.wire_name)
                and a.wire_name.lower() not in OWN_HEADERS
                for a in http.arguments
                if a.place == "header"
            ),
        ),
        CelRule(
            f"!(self.method in {list(BODILESS)}) || "
            "(!has(self.bodyArgument) && self.arguments.all(a, a.__in__ != 'body'))",
            "spec.http.method: GET, HEAD and DELETE have no body; use another method, or send the "
            "arguments in the query",
            ".method",
            holds=lambda http: (
                http.method not in BODILESS
                or (http.body_argument is None and all(a.place != "body" for a in http.arguments))
            ),
        ),
        CelRule(
            # The API server knows this by the list's key already; the rule is for Python.
            "self.arguments.all(a, self.arguments.exists_one(b, b.argument == a.argument))",
            "spec.http.arguments: each argument may occur once; remove the others",
            ".arguments",
            holds=lambda http: len({a.argument for a in http.arguments}) == len(http.arguments),
        ),
    )

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names in braces in the URL."""
        return tuple(_PLACEHOLDER.findall(self.url))


class McpEndpoint(ApiModel):
    """A tool of an MCP server."""

    url: Url = Field(description="URL of the server; streamable HTTP is spoken.")
    tool: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = Field(
        default=None, description="Name of the tool on the server; unset: the tool's own."
    )


class AgentEndpoint(ApiModel):
    """An agent that is reached by A2A."""

    url: Url = Field(
        description="Base URL of the agent; its card is at .well-known/agent-card.json below it."
    )


class ToolAuth(ApiModel):
    """A credential that is sent with every call."""

    secret_key_ref: SecretKeyRef = Field(
        description="Where the credential is; in the same namespace. The chart's "
        "tools.secretNamespaces must name the namespace."
    )
    header: HeaderName = Field(default="Authorization", description="Header that it goes into.")
    scheme: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]*$", max_length=32)] = Field(
        default="Bearer", description='Word before the credential; "": none.'
    )


class ToolEgress(ApiModel):
    """Addresses that a call may reach besides public ones."""

    internal_hosts: list[HostName] = Field(
        default_factory=list,
        max_length=16,
        description="Hosts, as written in the URL, whose addresses may be private or the "
        "cluster's own. Link-local addresses, where clouds keep credentials, are never called. It "
        "holds for redirects too.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        each_once("internal_hosts", "internalHosts", where="spec.egress"),
    )


def host_and_port(url: str) -> str:
    """`host[:port]` of a URL, in lower case."""
    return urlsplit(url).netloc.lower()

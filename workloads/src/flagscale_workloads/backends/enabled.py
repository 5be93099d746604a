"""What engines can do only where an extra argument says how."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from flagscale_workloads.backends.adapter import Feature
from flagscale_workloads.backends.arguments import plain

# Without a parser vLLM refuses every request with tools, and SGLang answers a call as plain text.
# Without a list of hosts both fetch from any, those of the cluster too.
_ENABLED_BY: Final[Mapping[Feature, str]] = MappingProxyType(
    {"tool_calls": "tool-call-parser", "media_urls": "allowed-media-domains"}
)


def only_enabled(features: frozenset[Feature], extra_args: Iterable[str]) -> frozenset[Feature]:
    """The features without those that need an extra argument which is not there."""
    named = frozenset(map(plain, extra_args))
    return features - {f for f, argument in _ENABLED_BY.items() if argument not in named}


def names_parser(extra_args: Iterable[str]) -> bool:
    """Whether an extra argument names a parser of tool calls."""
    return _ENABLED_BY["tool_calls"] in map(plain, extra_args)

"""Tool calls of engines that need to be told how a model writes them."""

from collections.abc import Iterable

from flagscale_workloads.backends.adapter import Feature
from flagscale_workloads.backends.arguments import plain

ARGUMENT = "tool-call-parser"


def with_tools_if_parsed(
    features: frozenset[Feature], extra_args: Iterable[str]
) -> frozenset[Feature]:
    """The features, without tool calls unless an extra argument names a parser for them.

    Without one vLLM refuses every request with tools, and SGLang answers a call as plain text.
    """
    return features if names_parser(extra_args) else features - {"tool_calls"}


def names_parser(extra_args: Iterable[str]) -> bool:
    """Whether an extra argument names a parser."""
    return ARGUMENT in map(plain, extra_args)

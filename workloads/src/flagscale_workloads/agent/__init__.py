"""What agents need around a model: tools that are found by what they do."""

from flagscale_workloads.agent.tool_match.answer import Hit, Matches
from flagscale_workloads.agent.tool_match.encoders import Encoder, MiniLmEncoder, StaticEncoder
from flagscale_workloads.agent.tool_match.filters import Filter
from flagscale_workloads.agent.tool_match.matcher import ToolMatcher
from flagscale_workloads.agent.tool_match.tool import Parameter, Tool
from flagscale_workloads.agent.tool_match.vectors import VectorStore

__all__ = [
    "Encoder",
    "Filter",
    "Hit",
    "Matches",
    "MiniLmEncoder",
    "Parameter",
    "StaticEncoder",
    "Tool",
    "ToolMatcher",
    "VectorStore",
]

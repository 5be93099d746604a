"""The texts of a tool that are embedded, and how their vectors become one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flagscale_workloads.agent.tool_match.tool import Tool
from flagscale_workloads.agent.tool_match.words import plain

Vectors = NDArray[np.float32]
VERSION: Final = "1"
"""Goes into the key of every stored vector: change it when the texts change."""
VIEW_WEIGHTS: Final = (0.4, 0.4, 0.2)
"""Name with description, all fields, name alone."""
DESCRIPTION_CHARACTERS = 600
PARAMETER_CHARACTERS = 300


def views(tool: Tool) -> tuple[str, str, str]:
    """The three texts, in the order of `VIEW_WEIGHTS`.

    Boilerplate parameters would drown a description, so both are cut.
    """
    name = plain(tool.name)
    short = f"{name}: {tool.description[:DESCRIPTION_CHARACTERS]}"
    parameters = ", ".join(plain(one.name) for one in tool.parameters)
    where = " ".join(dict.fromkeys((tool.server, tool.category, *tool.tags)))
    more = [where.strip(), parameters[:PARAMETER_CHARACTERS]]
    return short, ". ".join([short, *(part for part in more if part)]), name


def combine(short: Vectors, full: Vectors, name: Vectors) -> Vectors:
    """One unit vector a row: a dot product is linear, so three views cost what one costs."""
    summed = sum(w * v for w, v in zip(VIEW_WEIGHTS, (short, full, name), strict=True))
    return unit(np.asarray(summed, np.float32))


def unit(rows: Vectors) -> Vectors:
    """Rows of length one; zero rows stay zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-9), np.float32)

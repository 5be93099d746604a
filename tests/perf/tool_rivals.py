"""What the matcher is compared with: BM25, MiniLM alone, static vectors alone, the old formula."""

import logging
from collections.abc import Mapping, Sequence

import bm25s
import numpy as np
import Stemmer

from flagscale_workloads.agent import Encoder, Tool, VectorStore
from flagscale_workloads.agent.tool_match.vectors import text_vectors
from flagscale_workloads.agent.tool_match.views import Vectors
from perf.tool_sets import rank

logging.getLogger("bm25s").setLevel(logging.WARNING)
Rankings = list[list[str]]
# Words that made a category of the old matcher; any other category scored 0.5.
CATEGORY_WORDS: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "read", "write", "save", "load"),
    "search": ("search", "find", "look", "query"),
    "data": ("data", "process", "analyze", "transform"),
    "network": ("network", "url", "http", "api"),
    "system": ("system", "command", "run", "execute"),
}


def whole_text(tool: Tool) -> str:
    """All fields, as a plain BM25 gets them."""
    parameters = " ".join(f"{one.name} {one.description}" for one in tool.parameters)
    return f"{tool.name} {tool.server} {tool.category} {tool.description} {parameters}"


def short_text(tool: Tool) -> str:
    """What is usually embedded."""
    return f"{tool.name} {tool.description}".strip()


def by_bm25(tools: Mapping[str, Tool], queries: Sequence[str]) -> Rankings:
    """bm25s with its English stop words and Snowball stems."""
    stem = Stemmer.Stemmer("english")

    def tokens(texts: list[str]) -> list[list[str]]:
        found = bm25s.tokenize(
            texts, stopwords="en", stemmer=stem, return_ids=False, show_progress=False
        )
        return [list(map(str, one)) for one in found]

    index = bm25s.BM25()
    index.index(tokens([whole_text(tool) for tool in tools.values()]), show_progress=False)
    ids = list(tools)
    none = np.zeros(len(ids))
    scored = (index.get_scores(words) if words else none for words in tokens(list(queries)))
    return [rank(np.asarray(one), ids) for one in scored]


def by_vectors(
    tools: Mapping[str, Tool], queries: Sequence[str], encoder: Encoder, store: VectorStore
) -> Rankings:
    """Cosine of the request with name and description."""
    rows = text_vectors([short_text(tool) for tool in tools.values()], encoder, store)
    cosines = text_vectors(queries, encoder, store) @ rows.T
    return [rank(one, list(tools)) for one in cosines]


def by_old_formula(
    tools: Mapping[str, Tool], queries: Sequence[str], encoder: Encoder, store: VectorStore
) -> Rankings:
    """0.7 cosine, 0.2 overlap of words, 0.1 category; without its cut to three."""
    rows = text_vectors([short_text(tool) for tool in tools.values()], encoder, store)
    vectors = text_vectors(queries, encoder, store)
    found = []
    for query, vector in zip(queries, vectors, strict=True):
        scores = [
            old_score(query, vector, tool, row)
            for tool, row in zip(tools.values(), rows, strict=True)
        ]
        found.append(rank(np.array(scores), list(tools)))
    return found


def old_score(query: str, vector: Vectors, tool: Tool, row: Vectors) -> float:
    """One tool, in the way it was done: everything anew for every tool and query."""
    lowered = query.lower()
    asked = set(lowered.split())
    own = set(f"{tool.name} {tool.description}".lower().split())
    overlap = len(asked & own) / max(len(asked), 1)
    categories = {
        name: float(any(word in lowered for word in words))
        for name, words in CATEGORY_WORDS.items()
    }
    category = categories.get(tool.category.lower(), 0.5)
    a, b = np.array(vector[None]), np.array(row[None])
    a, b = (
        a / np.linalg.norm(a, axis=1, keepdims=True),
        b / np.linalg.norm(b, axis=1, keepdims=True),
    )
    return 0.7 * float(np.dot(a, b.T).squeeze()) + 0.2 * overlap + 0.1 * category

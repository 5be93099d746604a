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
OLD_WEIGHTS: Mapping[str, float] = {"semantic": 0.7, "keyword": 0.2, "category": 0.1}
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
    """One tool by the old formula."""
    words = words_overlap(query, tool.name, tool.description)
    category = category_score(query, tool.category)
    parts = {"semantic": float(vector @ row), "keyword": words, "category": category}
    return sum(OLD_WEIGHTS[name] * part for name, part in parts.items())


def words_overlap(query: str, name: str, description: str) -> float:
    """Share of a request's words that a tool says, split at spaces, anew for every tool."""
    asked = set(query.lower().split())
    own = set(f"{name.lower()} {description.lower()}".split())
    return len(asked & own) / len(asked) if asked else 0.0


def category_score(query: str, category: str) -> float:
    """Every category's words are looked for, anew for every tool."""
    lowered = query.lower()
    scores = {
        name: 1.0 if any(word in lowered for word in words) else 0.0
        for name, words in CATEGORY_WORDS.items()
    }
    return scores.get(category.lower(), 0.5)

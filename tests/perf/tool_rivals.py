"""What the matcher is compared with: BM25, MiniLM alone, static vectors alone, the old formula."""

import logging
from collections.abc import Mapping, Sequence

import bm25s
import numpy as np
import Stemmer
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from flagscale_workloads.agent import Encoder, Tool, VectorStore
from flagscale_workloads.agent.tool_match.encoders import minilm_tokenizer
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
    """One tool by the old formula."""
    return 0.7 * float(vector @ row) + _words_and_category(query, tool)


class OldMatcher:
    """The old formula as it runs where its model is there: tensors, one tool at a time.

    The model has MiniLM's size and tokenizer but no trained weights: it takes the same time.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        torch.manual_seed(1)
        config = BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
        )
        self._model = BertModel(config)
        self._model.train(mode=False)
        self._tokenizer = Tokenizer.from_file(str(minilm_tokenizer()))
        self._tools = tools
        self._rows = torch.randn(len(tools), 384)
        self._vectors: dict[str, torch.Tensor] = {}

    def match(self, query: str) -> list[float]:
        """Scores of the best three."""
        scores = [self._score(query, tool, i) for i, tool in enumerate(self._tools)]
        return sorted(scores, reverse=True)[:3]

    def _score(self, query: str, tool: Tool, i: int) -> float:
        if query not in self._vectors:
            self._vectors[query] = self._encoded(query)
        cosine = _tensor_cosine(self._vectors[query], self._rows[i : i + 1])
        return 0.7 * cosine + _words_and_category(query, tool)

    def _encoded(self, query: str) -> torch.Tensor:
        ids = torch.tensor([self._tokenizer.encode(query).ids])
        with torch.no_grad():
            states: torch.Tensor = self._model(input_ids=ids).last_hidden_state
        return states.mean(1)


def _tensor_cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    vector = torch.nn.functional.normalize(a, p=2, dim=1)
    row = torch.nn.functional.normalize(b, p=2, dim=1)
    return float(torch.mm(vector, row.t()).squeeze().cpu().numpy())


def _words_and_category(query: str, tool: Tool) -> float:
    """0.2 overlap of words and 0.1 category: everything anew for every tool and request."""
    asked = set(query.lower().split())
    own = set(f"{tool.name.lower()} {tool.description.lower()}".split())
    overlap = len(asked & own) / max(len(asked), 1)
    lowered = query.lower()
    categories = {
        name: float(any(word in lowered for word in words))
        for name, words in CATEGORY_WORDS.items()
    }
    return 0.2 * overlap + 0.1 * categories.get(tool.category.lower(), 0.5)

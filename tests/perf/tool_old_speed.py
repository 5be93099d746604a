"""How long the old formula takes: `python -m perf.tool_old_speed SIZE FOLDER`.

One core, and a process of its own: torch in the same one would count as the index's memory. The
last line is one JSON object.
"""

import json
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from flagscale_workloads.agent import Tool
from flagscale_workloads.agent.tool_match.encoders import minilm_tokenizer
from perf.tool_rivals import OLD_WEIGHTS, category_score, words_overlap
from perf.tool_speed import ROUNDS, pool, times_ms

QUERIES = 11
"""Of all sets, as many as take half a minute."""
OLD_LEAST = 0.1


class OldMatcher:
    """The old matcher's work for one request: per tool three scores and their weighted sum.

    Steps and structures are those that it has where its model is there: tensors cut, normalised
    and multiplied for one tool at a time, words and categories anew for every tool. The model has
    MiniLM's size and tokenizer but no trained weights, which takes the same time.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        torch.manual_seed(1)
        config = BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
        )
        self._model = BertModel(config)
        self._model.train(mode=False)
        self._tokenizer = Tokenizer.from_file(str(minilm_tokenizer()))
        self._tools = [
            {
                "function": {"name": one.name, "description": one.description},
                "category": one.category,
            }
            for one in tools
        ]
        self._rows = torch.randn(len(tools), 384)
        self._vectors: OrderedDict[str, torch.Tensor] = OrderedDict()

    def forget(self) -> None:
        """What it knows of requests."""
        self._vectors.clear()

    def match(self, query: str) -> list[tuple[str, float]]:
        """The best three."""
        found = []
        for i, tool in enumerate(self._tools):
            function: Any = tool.get("function", {})
            name, description = function.get("name", ""), function.get("description", "")
            scores = {
                "semantic": self._semantic(query, i),
                "keyword": words_overlap(query, name, description),
                "category": category_score(query, str(tool.get("category", "general"))),
            }
            total = sum(scores[part] * OLD_WEIGHTS[part] for part in scores)
            if total >= OLD_LEAST:
                found.append((name, total))
        found.sort(key=lambda one: one[1], reverse=True)
        return found[:3]

    def _semantic(self, query: str, i: int) -> float:
        if query in self._vectors:
            self._vectors.move_to_end(query)
        else:
            self._vectors[query] = self._encoded(query)
        return float(_cosine(self._vectors[query], self._rows[i : i + 1])[0])

    def _encoded(self, query: str) -> torch.Tensor:
        ids = torch.tensor([self._tokenizer.encode(query).ids])
        with torch.no_grad():
            states: torch.Tensor = self._model(input_ids=ids).last_hidden_state
        return states.mean(1)


def _cosine(a: torch.Tensor, b: torch.Tensor) -> NDArray[np.float32]:
    assert torch.is_tensor(a)
    assert torch.is_tensor(b)
    vector = torch.nn.functional.normalize(a, p=2, dim=1)
    row = torch.nn.functional.normalize(b, p=2, dim=1)
    found: NDArray[np.float32] = torch.mm(vector, row.t()).squeeze().cpu().numpy()
    return np.array([found]) if found.ndim == 0 else found


def main() -> int:
    """Print the figures: of requests that are new, and of those whose vector is kept."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    size, folder = sys.argv[1:]
    tools, queries = pool(Path(folder), int(size))
    matcher = OldMatcher(tools)
    matcher.match("warm up")
    asked = queries[:: len(queries) // QUERIES][:QUERIES]
    new, again = [], []
    for _ in range(ROUNDS):
        matcher.forget()
        new.append(times_ms(matcher.match, asked))
        again.append(times_ms(matcher.match, asked))
    named = {"upstream_p50_ms": new, "upstream_vector_cached_p50_ms": again}
    # Each request's best, as of ours.
    best = {name: np.min(rounds, axis=0) for name, rounds in named.items()}
    print(json.dumps({name: float(np.percentile(one, 50)) for name, one in best.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Embeddings from the words of a text, and the order of documents that follows from them.

Texts that share words are near each other, so that retrieval on top of it behaves sensibly.
"""

import base64
import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any, Final

from flagscale_workloads.inference.simulator.forms import Body
from flagscale_workloads.inference.simulator.requests import EmbeddingRequest, RerankRequest

DIMENSIONS: Final = 64

Vector = list[float]


def embed(tokens: Sequence[str], dimensions: int = DIMENSIONS) -> Vector:
    """A vector of length 1: the sum of one direction per word, whatever its case."""
    total = [0.0] * dimensions
    for token in tokens:
        draws = hashlib.shake_128(token.strip().lower().encode()).digest(dimensions)
        total = [t + d - 127.5 for t, d in zip(total, draws, strict=True)]
    norm = math.sqrt(sum(t * t for t in total)) or 1.0
    return [t / norm for t in total]


def similarity(one: Vector, other: Vector) -> float:
    """Cosine of two vectors of length 1, mapped to 0..1."""
    return (1 + sum(a * b for a, b in zip(one, other, strict=True))) / 2


def embedding_body(request: EmbeddingRequest, prompts: Sequence[Sequence[str]]) -> Body:
    """The answer of /v1/embeddings."""
    vectors = [embed(prompt, request.dimensions or DIMENSIONS) for prompt in prompts]
    packed = request.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": i, "embedding": _packed(v) if packed else v}
        for i, v in enumerate(vectors)
    ]
    count = sum(map(len, prompts))
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "model": request.model, "data": data, "usage": usage}


def rerank_body(
    request: RerankRequest, query: Sequence[str], documents: Sequence[Sequence[str]]
) -> Body:
    """The answer of /v1/rerank, the best document first."""
    wanted = embed(query)
    scores = [similarity(wanted, embed(document)) for document in documents]
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[: request.top_n]
    results: list[dict[str, Any]] = [{"index": i, "relevance_score": scores[i]} for i in order]
    if request.return_documents:
        for result in results:
            result["document"] = {"text": request.texts[result["index"]]}
    total = sum(len(query) + len(document) for document in documents)
    return {"model": request.model, "results": results, "usage": {"total_tokens": total}}


def _packed(vector: Vector) -> str:
    """Little-endian 32-bit floats, which OpenAI's client asks for."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

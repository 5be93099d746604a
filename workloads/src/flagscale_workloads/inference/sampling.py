"""Choosing the next token of one sequence, whatever else is in the batch."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is written."""

    max_tokens: int
    temperature: float = 1.0
    """0: the most likely token, always."""
    top_p: float = 1.0
    top_k: int = 0
    """0: no limit."""
    seed: int = 0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    alternatives: int | None = None
    """Most likely tokens to tell at each place; None: no probabilities at all."""
    grammar: str | None = None
    """What the text must follow (`grammar.Grammars`); None: anything."""


@dataclass(frozen=True, slots=True)
class Token:
    """A chosen token; natural logarithms of the model's own probabilities (temperature 1)."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def generator_for(sampling: Sampling, device: torch.device) -> torch.Generator:
    """The random numbers of one request, its own so that no other request can shift them."""
    generator = torch.Generator(device=device)
    generator.manual_seed(sampling.seed)
    return generator


def choose(
    logits: torch.Tensor,
    sampling: Sampling,
    generator: torch.Generator,
    allowed: torch.Tensor | None = None,
) -> Token:
    """The next token from float32 logits of shape [vocabulary], among those that are allowed.

    top_k first, then the smallest set of tokens with probability top_p (Holtzman et al. 2020).
    """
    among = logits
    if allowed is not None:
        among = logits.masked_fill(~allowed.to(logits.device), float("-inf"))
    index = _sample(among, sampling, generator) if sampling.temperature else int(among.argmax())
    if sampling.alternatives is None:
        return Token(index)
    logprobs = torch.log_softmax(logits, dim=-1)
    values, ids = logprobs.topk(min(sampling.alternatives, logprobs.numel()))
    top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return Token(index, float(logprobs[index]), top)


def _sample(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    scaled = logits / sampling.temperature
    if not sampling.top_k and sampling.top_p >= 1:
        return int(torch.multinomial(torch.softmax(scaled, -1), 1, generator=generator))
    count = min(sampling.top_k, scaled.numel()) or scaled.numel()
    values, ids = scaled.topk(count)
    weights = torch.softmax(values, dim=-1)
    # A token is in while those before it do not yet make top_p; so the first always is.
    before = weights.cumsum(-1) - weights
    weights = weights.masked_fill(before >= sampling.top_p, 0)
    return int(ids[torch.multinomial(weights, 1, generator=generator)])

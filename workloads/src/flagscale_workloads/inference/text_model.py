"""A language model of transformers with its tokenizer."""

import inspect
from collections.abc import Sequence
from typing import Any, Final

import torch

from flagscale_workloads.inference.errors import LoadError
from flagscale_workloads.inference.folder import (
    Settings,
    context_length,
    load_tokenizer,
    read_config,
    torch_dtype,
)
from flagscale_workloads.inference.grammar import Grammars
from flagscale_workloads.inference.kv_cache import BatchCache

_CAUSAL: Final = ("ForCausalLM", "LMHeadModel")


def is_causal(config: Any) -> bool:  # noqa: ANN401 - as read_config
    """Whether a model writes text."""
    names = config.architectures or []
    return any(name.endswith(_CAUSAL) for name in names)


class TextModel:
    """Steps of a causal model; used by one thread only."""

    def __init__(self, settings: Settings) -> None:
        from transformers import AutoModelForCausalLM

        folder = settings.model
        self.device = torch.device(settings.device)
        self.tokenizer = load_tokenizer(folder)
        self.context_length = context_length(read_config(folder), settings)
        # transformers decorates its classes in a way that type checkers see as untyped.
        make: Any = AutoModelForCausalLM
        self.network = make.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch_dtype(settings.dtype),
        )
        self.network.to(self.device).eval()
        self.ends = self._end_tokens()
        self.grammars = Grammars(self.tokenizer, vocabulary=self.vocabulary, ends=self.ends)
        self._accepts = frozenset(inspect.signature(self.network.forward).parameters)

    @property
    def vocabulary(self) -> int:
        """Tokens that the model has an embedding of."""
        return int(self.network.get_input_embeddings().num_embeddings)

    def warm_up(self) -> None:
        """A real forward pass. Raises LoadError for a model that can't be batched."""
        cache = BatchCache()
        self.extend(cache, [0])
        if not cache.plain:
            kinds = sorted({type(layer).__name__ for layer in cache.kv.layers}) or ["none"]
            msg = (
                f"model: needs a cache that can't be batched here, got {', '.join(kinds)}; "
                "serve it with vLLM or SGLang"
            )
            raise LoadError(msg)
        self.step(cache, [0])

    def decode(self, tokens: list[int]) -> str:
        """Text of tokens, without special ones."""
        return str(
            self.tokenizer.decode(
                tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def extend(self, cache: BatchCache, tokens: Sequence[int]) -> torch.Tensor:
        """Add tokens to the only row of a cache; logits [vocabulary] of what follows."""
        start = sum(cache.lengths)
        end = start + len(tokens)
        mask = torch.ones((1, end), dtype=torch.long, device=self.device)
        positions = torch.arange(start, end, device=self.device)[None]
        logits = self._forward(cache, [list(tokens)], mask=mask, positions=positions)
        cache.lengths = [end]
        return logits[0]

    def step(self, cache: BatchCache, tokens: Sequence[int]) -> torch.Tensor:
        """Add one token to each row of a cache; logits [rows, vocabulary] of what follows."""
        positions = torch.tensor(cache.lengths, device=self.device)[:, None]
        inputs = [[token] for token in tokens]
        mask = cache.mask(self.device)
        logits = self._forward(cache, inputs, mask=mask, positions=positions)
        cache.grow()
        return logits

    def _forward(
        self,
        cache: BatchCache,
        tokens: list[list[int]],
        *,
        mask: torch.Tensor,
        positions: torch.Tensor,
    ) -> torch.Tensor:
        optional = {"position_ids": positions, "logits_to_keep": 1}
        with torch.inference_mode():
            out = self.network(
                input_ids=torch.tensor(tokens, device=self.device),
                attention_mask=mask,
                past_key_values=cache.kv,
                use_cache=True,
                **{name: value for name, value in optional.items() if name in self._accepts},
            )
            logits: torch.Tensor = out.logits[:, -1].float()
        return logits

    def _end_tokens(self) -> frozenset[int]:
        configured = self.network.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        return frozenset({*ends, self.tokenizer.eos_token_id} - {None})

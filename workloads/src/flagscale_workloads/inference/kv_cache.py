"""Keys and values of several sequences in one cache, padded on the left."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

# transformers types the tensors of a layer as optional.
Layer = Any
_SEQUENCE: Final = -2


class BatchCache:
    """A growing cache and the length of each row; per layer [rows, heads, width, head size]."""

    def __init__(self) -> None:
        self.kv = DynamicCache()
        self.lengths: list[int] = []

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(self.lengths, default=0)

    @property
    def plain(self) -> bool:
        """Whether all layers keep all tokens, so that rows can be padded and moved."""
        layers = self.kv.layers
        return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)

    def mask(self, device: torch.device) -> torch.Tensor:
        """[rows, width + 1]: 1 at each token of a row and at the one that comes next."""
        places = torch.arange(self.width + 1, device=device)
        first = torch.tensor([self.width - length for length in self.lengths], device=device)
        return (places >= first[:, None]).long()

    def grow(self) -> None:
        """Count the token that a step added to each row."""
        self.lengths = [length + 1 for length in self.lengths]

    def join(self, others: Sequence["BatchCache"]) -> None:
        """Append the rows of other caches; they are consumed."""
        parts = [part for part in (self, *others) if part.lengths]
        width = max(part.width for part in parts)
        if parts[0] is not self:
            self.kv = parts[0].kv
        # All layers first: when memory runs out in between, nothing has changed.
        merged = [
            tuple(torch.cat([_padded(getattr(part.kv.layers[index], name), width)
                             for part in parts]) for name in ("keys", "values"))
            for index in range(len(parts[0].kv.layers))
        ]  # fmt: skip
        self._put(merged)
        self.lengths = [length for part in parts for length in part.lengths]

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these, and the padding that none of them needs."""
        if len(rows) == len(self.lengths):
            return
        if not rows:
            self.kv, self.lengths = DynamicCache(), []
            return
        skip = self.width - max(self.lengths[row] for row in rows)
        layers: list[Layer] = self.kv.layers
        index = torch.tensor(list(rows), device=layers[0].keys.device)
        for layer in layers:
            layer.keys = layer.keys[index, :, skip:]
            layer.values = layer.values[index, :, skip:]
        self.lengths = [self.lengths[row] for row in rows]

    def _put(self, tensors: Sequence[Any]) -> None:
        layers: list[Layer] = self.kv.layers
        for layer, (keys, values) in zip(layers, tensors, strict=True):
            layer.keys, layer.values = keys, values


def _padded(tensor: torch.Tensor, width: int) -> torch.Tensor:
    missing = width - tensor.shape[_SEQUENCE]
    return torch.nn.functional.pad(tensor, (0, 0, missing, 0)) if missing else tensor

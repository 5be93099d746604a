"""Running out of memory, and how many to compute at once after that."""

import errno
from typing import Final

import torch

# Steps without trouble after which one more may be tried.
_CALM_STEPS: Final = 256


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that the device, or the host, has no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # PyTorch's allocator of the CPU raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in str(error) or f"[Errno {errno.ENOMEM}]" in str(error)
    )


class BatchLimit:
    """Rows computed at once: half after each failure, then slowly up to the most allowed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._calm = 0
        self.rows = most

    def failed(self, rows: int) -> bool:
        """Take note of a failure with so many rows; False when even one row is too much."""
        self._calm = 0
        self.rows = max(1, rows // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return rows > 1

    def succeeded(self) -> None:
        """Take note of a step that went well."""
        self._calm += 1
        if self.rows < self._most and self._calm >= _CALM_STEPS:
            self._calm = 0
            self.rows += 1

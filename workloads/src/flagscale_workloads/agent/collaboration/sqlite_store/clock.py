"""The clock of the embedded store: one for all processes, and nobody can set it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flagscale_workloads.agent.collaboration.errors import StoreError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Milliseconds since some moment of a boot, and which boot that is."""

    @property
    def boot(self) -> str:
        """Changes when the milliseconds start anew."""

    def now_ms(self) -> int:
        """Never goes back within a boot."""


@dataclass(frozen=True, slots=True)
class MachineClock:
    """Linux's monotonic clock: it stands while the machine sleeps, as its agents do."""

    boot: str

    @classmethod
    def of_this_machine(cls) -> "MachineClock":
        """Read which boot this is.

        Raises:
            StoreError: not on Linux.
        """
        try:
            return cls(BOOT_ID.read_text().strip())
        except OSError as error:
            msg = f"embedded store: needs Linux, got {error}; use Redis or Valkey"
            raise StoreError(msg) from error

    def now_ms(self) -> int:
        """Milliseconds since the boot."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000

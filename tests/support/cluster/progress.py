"""Says on stderr what a long step is doing, so that nobody wonders whether it hangs."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one progress line on stderr; stdout stays free for answers."""
    print(f"[cluster] {text}", file=sys.stderr, flush=True)


@contextmanager
def timed(text: str) -> Iterator[None]:
    """Announce a step and, once it is done, the seconds it took."""
    say(f"{text} ...")
    begun = time.monotonic()
    yield
    say(f"{text}: {time.monotonic() - begun:.1f} s")

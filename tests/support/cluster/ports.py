"""Picks free TCP ports once per state folder, so that a restarted component keeps its own."""

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

# Below the kernel's ephemeral range and the NodePort range: nothing else takes them meanwhile.
LOW, HIGH = 20000, 29999


def is_free(port: int) -> bool:
    """Whether a listener could bind this port on every address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def assign(file: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """Return a port per name: the recorded one, else the preferred one if free, else any free.

    A preferred port of 0 means "any". The answer is recorded in `file`.
    """
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    for name, wish in preferred.items():
        if name not in known:
            known[name] = wish if wish and is_free(wish) else _any_free(set(known.values()))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known, indent=1))
    return {name: known[name] for name in preferred}


def _any_free(taken: set[int]) -> int:
    while True:
        port = random.randint(LOW, HIGH)
        if port not in taken and is_free(port):
            return port

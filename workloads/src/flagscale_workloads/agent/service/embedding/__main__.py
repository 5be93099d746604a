"""`python -m flagscale_workloads.agent.service.embedding QUERY_FD INDEX_FD`: the embedder.

Two lanes share one model: requests of users, and tools to be indexed, which give way.
"""

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Final

from flagscale_workloads.agent.service.embedding.lane import READY, answer_all
from flagscale_workloads.agent.tool_match.encoders import Encoder, MiniLmEncoder

INDEX_NICENESS: Final = 10


def main(arguments: list[str]) -> int:
    """Until the service closes the lanes."""
    # A terminal's Ctrl-C reaches both; the service ends us once it has drained.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    queries, texts = (Connection(int(number)) for number in arguments)
    encoder = MiniLmEncoder()
    encoder.encode_query("warm up", ())
    threading.Thread(target=_index, args=(texts, encoder), daemon=True).start()
    queries.send_bytes(READY)
    answer_all(queries, encoder)
    return 0


def _index(lane: Connection, encoder: Encoder) -> None:
    # On Linux a priority is a thread's own: a request of a user takes the core at once.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), INDEX_NICENESS)
    answer_all(lane, encoder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

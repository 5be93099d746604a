"""Requests at a steady rate from within the cluster while something happens; each is counted."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.workspace import Workspace

STOP = "/data/stop-load"
RATE_PER_S = 2.0
_CODE = """
import json, pathlib, sys, threading, time, urllib.request
url, rate, stop = sys.argv[1], float(sys.argv[2]), pathlib.Path(sys.argv[3])
body = json.dumps({'messages': [{'role': 'user', 'content': 'In the beginning'}],
                   'max_tokens': 8}).encode()
answered, failed, threads = [], [], []
def ask():
    request = urllib.request.Request(url, body, {'content-type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answered.append(answer.status)
    except Exception as error:
        failed.append(f"{time.strftime('%T')} {error!r}")
while not stop.exists() and len(threads) < 2000:
    threads.append(threading.Thread(target=ask))
    threads[-1].start()
    time.sleep(1 / rate)
for thread in threads:
    thread.join()
stop.unlink(missing_ok=True)
print(json.dumps({'answered': len(answered), 'failed': failed}))
"""


@dataclass
class Outcome:
    """What became of the requests; filled when the load has ended."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def steady_load(workspace: Workspace, base_url: str) -> Iterator[Outcome]:
    """Ask a service twice a second until the block ends; an open loop of at most 2,000 requests."""
    outcome = Outcome()
    url = f"{base_url}/chat/completions"
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(workspace.python, _CODE, url, str(RATE_PER_S), STOP)
        try:
            yield outcome
        finally:
            workspace.python("import pathlib, sys; pathlib.Path(sys.argv[1]).touch()", STOP)
            told = json.loads(load.result())
            outcome.answered, outcome.failed = told["answered"], told["failed"]

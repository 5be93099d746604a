"""`python -m flagscale_workloads.ray_serve.stop SECONDS`: before a worker pod ends.

Serves on for so many seconds, until nobody sends to this pod any more, and then waits until running
requests have ended. Kubernetes sends SIGTERM to Ray only afterwards.
"""

import argparse
import asyncio
import sys

from flagscale_workloads.ray_serve.child import STOPPING_FILE, end, recorded_pid

FOREVER_S = 86400.0
"""Kubernetes' own grace period ends this."""


async def stop(serve_on_s: float) -> None:
    """End the serving process of this pod without loss."""
    STOPPING_FILE.touch()
    await asyncio.sleep(serve_on_s)
    pid = recorded_pid()
    if pid:
        await end(pid, grace_s=FOREVER_S)


def main() -> int:
    """Always 0: a pod that is to end ends."""
    parser = argparse.ArgumentParser(prog="flagscale_workloads.ray_serve.stop", description=__doc__)
    parser.add_argument("seconds", type=float, help="how long to serve on")
    asyncio.run(stop(parser.parse_args().seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())

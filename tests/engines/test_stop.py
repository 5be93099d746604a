"""The end of an engine."""

from pathlib import Path

import pytest

from flagscale_api.v1alpha1.engine import EngineName
from support.engine_process import wait_until

from .conftest import CASES, SERVED, START_TIMEOUT_S, start


@pytest.mark.parametrize("name", CASES)
def test_sigterm_ends_an_engine_with_all_that_it_started(name: EngineName, tmp_path: Path) -> None:
    """In the midst of a request, within the grace of its adapter.

    As the service stops one, whose gateway closes its connections first: the web server of vLLM
    waits for open ones without end.
    """
    served = start(name, tmp_path)
    try:
        served.process.wait_for_token(SERVED, timeout_s=START_TIMEOUT_S)
        assert served.process.family()
        stream = served.client.completions.create(
            model=SERVED, prompt="The", max_tokens=600, stream=True
        )
        next(iter(stream))
        stream.close()
        seconds = served.process.stop(grace_s=served.adapter.stop_grace_s)
        print(f"\n{name}: ended {seconds:.1f} s after SIGTERM")
        wait_until(
            lambda: not served.process.family(), timeout_s=5, what="no process is left behind"
        )
    finally:
        served.client.close()
        served.process.kill()

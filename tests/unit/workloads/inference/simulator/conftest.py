from collections.abc import Iterator

import pytest

from support.simulator import SimulatorProcess, running_simulator


@pytest.fixture(scope="session")
def healthy() -> Iterator[SimulatorProcess]:
    """A simulator that nobody puts faults into."""
    with running_simulator("--speed=50") as simulator:
        yield simulator

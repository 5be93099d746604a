import gc
from collections.abc import Iterator

import pytest

from flagscale_workloads.agent.service.long_lived import LongLived


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_lives_once_the_index_is_settled_is_frozen() -> None:
    index = [[n] for n in range(10_000)]
    LongLived().settled(len(index))
    assert gc.get_freeze_count() > len(index)


@pytest.mark.parametrize(("tools", "frozen"), [(1, False), (199, False), (200, True)])
def test_an_index_is_frozen_anew_once_it_has_doubled(tools: int, *, frozen: bool) -> None:
    long_lived = LongLived()
    long_lived.settled(100)
    gc.unfreeze()
    long_lived.settled(tools)
    assert (gc.get_freeze_count() > 0) is frozen

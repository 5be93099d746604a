from dataclasses import replace
from pathlib import Path

import pytest

from flagscale_workloads.agent import StaticEncoder, ToolMatcher, VectorStore
from flagscale_workloads.agent.tool_match.recent import Recent

from .conftest import TOOLS, Moody


def test_a_repeated_query_is_cached_until_the_index_changes(static: ToolMatcher) -> None:
    first = static.match_tools("weather", min_confidence=0)
    again = static.match_tools("weather", min_confidence=0)
    assert (first.cached, again.cached) == (False, True)
    assert again.hits == first.hits

    static.update(remove=[TOOLS[2].key])
    after = static.match_tools("weather", min_confidence=0)
    assert not after.cached
    assert TOOLS[2].key not in {hit.tool.key for hit in after.hits}


def test_what_a_fault_gave_is_not_kept(moody: Moody) -> None:
    matcher = ToolMatcher(TOOLS, encoders={"dense": moody})
    moody.broken = True
    assert matcher.match_tools("weather").degraded
    moody.broken = False
    assert not matcher.match_tools("weather").degraded
    matcher.close()


def test_caches_are_reported_emptied_and_resized(static: ToolMatcher) -> None:
    for _ in range(2):
        static.match_tools("weather")
    told = static.cache_management()
    assert (told.results, told.result_hits, told.result_misses) == (1, 1, 1)
    assert (told.query_vectors, told.tool_vectors) == (1, len(TOOLS))

    assert static.cache_management(clear=True).results == 0
    static.cache_management(results=0)
    static.match_tools("weather")
    assert static.cache_management().results == 0
    with pytest.raises(ValueError, match="size of a cache: must be 0 or more, got -1"):
        static.cache_management(results=-1)


def test_what_was_embedded_once_is_never_embedded_again(moody: Moody, tmp_path: Path) -> None:
    path = tmp_path / "vectors.sqlite"
    for _ in range(2):
        store = VectorStore(path)
        ToolMatcher(TOOLS, encoders={"dense": moody}, store=store).close()
        store.close()
        count = len(moody.encoded)
    assert count == len(moody.encoded)
    assert moody.encoded.count("read file") == 1

    store = VectorStore(path)
    matcher = ToolMatcher(TOOLS, encoders={"dense": moody}, store=store)
    assert len(moody.encoded) == count
    matcher.update(upsert=[replace(TOOLS[0], healthy=False)])
    assert len(moody.encoded) == count
    matcher.update(upsert=[replace(TOOLS[0], description="changed")])
    assert len(moody.encoded) > count
    matcher.close()
    store.close()


def test_a_restart_changes_no_score(tmp_path: Path) -> None:
    scores = []
    for _ in range(2):
        store = VectorStore(tmp_path / "vectors.sqlite")
        matcher = ToolMatcher(TOOLS, encoders={"static": StaticEncoder()}, store=store)
        found = matcher.match_tools("weather", min_confidence=0).hits
        scores.append([(hit.tool.key, hit.score) for hit in found])
        matcher.close()
        store.close()
    assert scores[0] == scores[1]


def test_the_least_recently_used_goes_first() -> None:
    cache: Recent[int] = Recent(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]

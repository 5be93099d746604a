import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.agent import Tool
from flagscale_workloads.agent.tool_match.indexing import Indexer
from flagscale_workloads.agent.tool_match.scoring import Asked, lexical_scores
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.vectors import VectorStore

from .conftest import TOOLS

words = st.lists(st.sampled_from(("file", "mail", "citi", "weather", "never-seen")), max_size=6)


def index(tools: tuple[Tool, ...] = TOOLS) -> Snapshot:
    empty = Snapshot.empty({})
    return empty.changed(Indexer({}, VectorStore()).rows(tools, empty), ())


SNAPSHOT = index()


@given(words, st.lists(words, max_size=3))
def test_a_text_scores_the_same_whatever_stands_beside_it(
    whole: list[str], clauses: list[list[str]]
) -> None:
    texts = (whole, *clauses)
    together = lexical_scores(SNAPSHOT, Asked.of(SNAPSHOT, texts), SNAPSHOT.alive).raw
    alone = [lexical_scores(SNAPSHOT, Asked.of(SNAPSHOT, [t]), SNAPSHOT.alive).raw for t in texts]
    assert np.allclose(together, np.concatenate(alone), atol=1e-5)


@given(words)
def test_a_word_that_no_tool_has_makes_more_to_cover(text: list[str]) -> None:
    without, with_it = (Asked.of(SNAPSHOT, [one]) for one in (text, [*text, "never-seen"]))
    assert without.reach(0) < with_it.reach(0)

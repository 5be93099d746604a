import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from flagscale_workloads.agent import Filter, MiniLmEncoder, StaticEncoder, ToolMatcher
from flagscale_workloads.agent.tool_match.arms import Arm
from flagscale_workloads.agent.tool_match.breaker import Breaker
from flagscale_workloads.agent.tool_match.encoders import minilm_file
from flagscale_workloads.agent.tool_match.search import Search
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.views import Vectors, unit

from .conftest import TOOLS, Moody


def test_a_failing_arm_is_skipped_and_named(moody: Moody) -> None:
    matcher = ToolMatcher(TOOLS, encoders={"dense": moody, "static": StaticEncoder()})
    assert matcher.match_tools("weather", min_confidence=0).tier == "transformer"
    moody.broken = True

    found = matcher.match_tools("weather in Rome", min_confidence=0)

    assert found.tier == "static"
    assert found.degraded == ("dense: RuntimeError: no mood",)
    assert found.hits[0].tool.name == "get_weather"
    matcher.close()


def test_without_encoders_words_answer_and_then_names() -> None:
    matcher = ToolMatcher(TOOLS, encoders={})
    assert matcher.match_tools("the weather", min_confidence=0).tier == "lexical"

    found = matcher.match_tools("weath", 1, min_confidence=0)
    assert (found.tier, found.hits[0].tool.name) == ("names", "get_weather")


def test_an_arm_that_hangs_costs_its_deadline_only(moody: Moody) -> None:
    matcher = ToolMatcher(TOOLS, encoders={"dense": moody}, deadline_s=0.05)
    moody.blocked.clear()

    found = matcher.match_tools("weather forecast", min_confidence=0)
    moody.blocked.set()

    assert found.tier == "lexical"
    assert found.degraded == ("dense: no vector within 0.05 s",)
    (arm,) = matcher.arms()
    assert arm.timed_out == 1
    matcher.close()


@pytest.mark.parametrize("may_be_late", [True, False])
def test_only_what_may_be_late_gets_a_thread(moody: Moody, *, may_be_late: bool) -> None:
    moody.may_be_late = may_be_late
    threads = threading.active_count()
    matcher = ToolMatcher(TOOLS, encoders={"dense": moody}, deadline_s=10)
    assert matcher.match_tools("weather", min_confidence=0).tier == "transformer"
    assert (threading.active_count() > threads) is may_be_late

    moody.broken = True
    assert matcher.match_tools("mail", min_confidence=0).degraded == (
        "dense: RuntimeError: no mood",
    )
    matcher.close()


class Meeting(Moody):
    """Embeds a query once another one does, too."""

    def __init__(self, both: threading.Barrier) -> None:
        super().__init__()
        self.both = both

    def encode_query(self, text: str, parts: Sequence[str]) -> Vectors:
        self.both.wait()
        return super().encode_query(text, parts)


@pytest.mark.parametrize(("beside", "answering"), [(True, 2), (False, 0)])
def test_given_the_cores_models_embed_side_by_side(*, beside: bool, answering: int) -> None:
    both = threading.Barrier(2, timeout=0.5)
    arms = {name: Arm(name, Meeting(both), deadline_s=10) for name in ("dense", "static")}
    empty = Snapshot.empty(dict.fromkeys(arms, StaticEncoder.dimensions))
    found = Search(arms, beside=beside).run(empty, "weather", 5, Filter(), 0, None)
    assert len(found.degraded) == len(arms) - answering
    for arm in arms.values():
        arm.close()


def test_a_paused_arm_is_probed_once_and_comes_back(moody: Moody) -> None:
    now = [0.0]
    arm = Arm("dense", moody, 10, clock=lambda: now[0])
    moody.broken = True
    assert [arm.query(f"q{i}", ()) for i in range(4)] == [None] * 4
    assert (arm.counts.failed, arm.counts.refused, arm.state) == (3, 1, "open")

    now[0], moody.broken = 6, False
    assert arm.state == "half-open"
    assert arm.query("again", ()) is not None
    assert arm.state == "closed"
    arm.close()


class NoIndex:
    """Fails where words are looked up."""

    def mask(self, _: Filter) -> NDArray[np.bool_]:
        return np.zeros(0, np.bool_)


def test_a_probe_ends_whatever_else_fails(moody: Moody) -> None:
    now = [0.0]
    arm = Arm("dense", moody, 10, clock=lambda: now[0])
    moody.broken = True
    assert [arm.query(f"q{i}", ()) for i in range(3)] == [None] * 3

    now[0], moody.broken = 6, False
    with pytest.raises(AttributeError):
        Search({"dense": arm}, beside=True).run(NoIndex(), "q", 5, Filter(), 0, None)  # type: ignore[arg-type]
    assert arm.state == "closed"
    arm.close()


def test_half_open_lets_one_call_through() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0], failures=1, pause_s=1)
    breaker.failed()
    now[0] = 2
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.failed()
    assert breaker.state == "open"


def test_tools_that_an_arm_could_not_embed_are_found_by_words_and_counted(moody: Moody) -> None:
    moody.broken = True
    matcher = ToolMatcher(TOOLS, encoders={"dense": moody})
    assert matcher.arms()[0].missing == len(TOOLS)
    moody.broken = False
    assert matcher.match_tools("weather", 1, min_confidence=0).hits[0].tool.name == "get_weather"

    matcher.update(upsert=TOOLS)
    assert matcher.arms()[0].missing == 0
    matcher.close()


def test_clauses_of_one_pass_point_where_their_own_vectors_do() -> None:
    encoder = MiniLmEncoder()
    parts = ("book a flight to Rome", "send an e-mail to Bob")
    rows = encoder.encode_query(" and then ".join(parts), parts)
    own = encoder.encode(parts)

    assert rows.shape == (3, 384)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    cosines = rows[1:] @ own.T
    assert cosines[0, 0] > cosines[0, 1]
    assert cosines[1, 1] > cosines[1, 0]


@pytest.mark.parametrize("encoder", [MiniLmEncoder(), StaticEncoder()], ids=["minilm", "static"])
def test_a_vector_does_not_depend_on_its_batch(encoder: MiniLmEncoder | StaticEncoder) -> None:
    texts = ["read a file", "send an e-mail to all people that are not here " * 5, "x"]
    together = encoder.encode(texts)
    for text, row in zip(texts, together, strict=True):
        assert float(encoder.encode([text])[0] @ row) == pytest.approx(1, abs=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dimensions)


def test_deferred_tools_are_found_by_the_other_arms_until_they_are_embedded(moody: Moody) -> None:
    matcher = ToolMatcher(encoders={"dense": moody, "static": StaticEncoder()}, deadline_s=10)
    matcher.update(upsert=TOOLS, defer={"dense"})
    assert moody.encoded == []
    assert matcher.arms()[0].missing == len(TOOLS)
    assert matcher.match_tools("forecast", 1, min_confidence=0).hits[0].tool.name == "get_weather"

    assert [matcher.embed_missing(4) for _ in range(3)] == [4, 2, 0]
    assert matcher.arms()[0].missing == 0
    # What is known by content is not lost by a change, and not embedded again.
    moody.encoded.clear()
    matcher.update(upsert=TOOLS, defer={"dense"})
    assert matcher.arms()[0].missing == 0
    assert moody.encoded == []
    matcher.close()


def test_what_changes_while_it_is_embedded_stays_changed(moody: Moody) -> None:
    matcher = ToolMatcher(encoders={"dense": moody}, deadline_s=10)
    matcher.update(upsert=TOOLS[:3], defer={"dense"})
    moody.blocked.clear()
    embedding = threading.Thread(target=matcher.embed_missing)
    embedding.start()
    new = replace(TOOLS[1], description="Something else")
    matcher.update(upsert=[new], remove=[TOOLS[0].key], defer={"dense"})
    moody.blocked.set()
    embedding.join()

    assert matcher.get(TOOLS[0].key) is None
    assert matcher.get(TOOLS[1].key) == new
    assert matcher.arms()[0].missing == 1
    assert matcher.embed_missing() == 1
    matcher.close()


def test_an_arm_that_is_away_embeds_nothing_and_later_all(moody: Moody) -> None:
    matcher = ToolMatcher(encoders={"dense": moody}, deadline_s=10)
    matcher.update(upsert=TOOLS, defer={"dense"})
    moody.broken = True
    assert matcher.embed_missing() == 0
    moody.broken = False
    assert matcher.embed_missing() == len(TOOLS)
    matcher.close()


def test_products_of_integers_give_the_vectors_of_the_models_file() -> None:
    encoder = MiniLmEncoder()
    texts = ["read a file", "Will it rain in Rome tomorrow?", "send an e-mail to everybody " * 9]
    ours, floats = encoder.encode(texts), np.stack([_by_the_file(text) for text in texts])
    cosines = (ours * floats).sum(1)
    assert cosines.min() > 0.993
    assert not np.array_equal(ours, floats)


def _by_the_file(text: str) -> Vectors:
    """As onnxruntime runs the model that the package has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(minilm_file()), options, providers=["CPUExecutionProvider"]
    )
    ids = np.array([MiniLmEncoder()._tokenizer.encode(text).ids])
    feeds = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
    return unit(session.run(None, feeds)[0][0].mean(0)[None])[0]

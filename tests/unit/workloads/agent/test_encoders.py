import numpy as np

from flagscale_workloads.agent import StaticEncoder
from flagscale_workloads.agent.tool_match.encoders import FIRST_WORD, informative


def test_words_of_every_text_count_less_than_rare_ones() -> None:
    rows = np.random.default_rng(1).standard_normal((30_522, 8)).astype(np.float32)
    found = informative(rows)
    lengths = np.linalg.norm(found, axis=1) / np.linalg.norm(rows, axis=1)
    assert lengths[FIRST_WORD : FIRST_WORD + 50].max() < 0.2 < lengths[-50:].min()


def test_static_vectors_know_words_of_the_same_meaning() -> None:
    mail, letter, rain = StaticEncoder().encode(["send an e-mail", "write a message", "it rains"])
    assert mail @ letter > mail @ rain
    assert np.isclose([mail @ mail, letter @ letter], 1, atol=1e-5).all()


def test_a_text_without_words_is_near_nothing() -> None:
    assert not StaticEncoder().encode([""]).any()

import numpy as np
import pytest
from tokenizers import Tokenizer

from flagscale_workloads.agent import MiniLmEncoder, StaticEncoder
from flagscale_workloads.agent.tool_match.encoders import (
    FIRST_WORD,
    NAME_DIMENSIONS,
    SILENT,
    informative,
    minilm_tokenizer,
    telling,
)
from flagscale_workloads.agent.tool_match.late_chunking import part_sums


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


def test_of_the_names_vectors_those_columns_stay_that_tell_words_apart() -> None:
    scales = np.random.default_rng(0).permutation(NAME_DIMENSIONS * 2).astype(np.float32)
    kept = telling(np.ones((3, 1), np.float32) * scales)
    assert kept[0].tolist() == [one for one in scales if one >= NAME_DIMENSIONS]


def test_a_part_of_a_request_is_the_mean_of_its_own_words() -> None:
    parts = ("book a hotel in Rome", "find a train to Oslo")
    words = StaticEncoder()
    rows = words.encode_query(f"{parts[0]}, then {parts[1]}.", parts)
    assert np.allclose(rows[1:], words.encode(parts), atol=1e-5)


def test_the_last_part_of_a_long_request_is_heard() -> None:
    parts = tuple(f"{about} " * 40 + "today" for about in ("rain", "trains", "music", "taxes"))
    words = StaticEncoder()
    rows = words.encode_query(". ".join(parts), parts)
    assert rows[-1] @ words.encode(["taxes"])[0] > 0.8


def test_the_whole_stands_for_a_part_that_was_cut_off() -> None:
    rows = np.eye(3, dtype=np.float32)
    offsets = [(0, 2), (2, 5), (6, 8)]
    found = part_sums(rows, offsets, "to Oslo or Rome", ("to Oslo", "Rome"))
    assert found.tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 1]]


LONG = "send the invoices of last month to Bob, and then book a table for two in Rome on Friday."
SHORT = "what is 20 plus 22?"


@pytest.mark.parametrize(("text", "whole"), [(LONG, False), (SHORT, True)])
def test_of_a_long_request_words_that_say_nothing_are_not_heard(text: str, *, whole: bool) -> None:
    encoder = MiniLmEncoder()
    telling_words = " ".join(w.strip(".,?") for w in text.split() if w not in SILENT)
    asked, told = (encoder.encode_query(one, ())[0] for one in (text, telling_words))
    assert np.allclose(asked, encoder.encode([text])[0], atol=1e-5) is whole
    assert np.allclose(asked, told, atol=1e-5) is not whole


def test_every_silent_token_is_one_of_the_models_own() -> None:
    words = Tokenizer.from_file(str(minilm_tokenizer()))
    assert all(words.token_to_id(one) is not None for one in SILENT)

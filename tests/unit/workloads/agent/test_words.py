import unicodedata

import pytest

from flagscale_workloads.agent.tool_match.clauses import CLAUSES, clauses
from flagscale_workloads.agent.tool_match.words import plain, terms


@pytest.mark.parametrize("name", ["read_file", "readFile", "ReadFile", "read-file", "READ FILES"])
def test_all_spellings_of_an_identifier_give_the_same_terms(name: str) -> None:
    assert terms(name) == ["read", "file"]


def test_acronyms_and_digits_come_apart() -> None:
    assert plain("parseHTTPServer2sha256") == "parse HTTP Server 2 sha 256"


def test_stop_words_are_left_out() -> None:
    assert terms("Can you please show me the weather") == ["show", "weather"]


def test_chinese_comes_in_bigrams() -> None:
    assert terms("查询天气 now") == ["查询", "询天", "天气", "now"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("\uff30\uff24\uff26\u5909\u63db", "PDF変換"),
        ("\uff76\uff9a\uff9d\uff80\uff9e\uff70", "カレンダー"),
        (unicodedata.normalize("NFD", "날씨 조회"), "날씨 조회"),
        (unicodedata.normalize("NFD", "café"), "café"),
    ],
    ids=["full width", "half width", "syllables in parts", "accents in parts"],
)
def test_forms_of_a_character_that_mean_the_same_give_the_same_terms(
    written: str, meant: str
) -> None:
    assert written != meant
    assert terms(written) == terms(meant)


def test_a_request_for_two_things_has_two_clauses() -> None:
    asked = "Find a flight to Rome, then book a cheap hotel"

    assert clauses(asked) == ("Find a flight to Rome", "book a cheap hotel")
    assert clauses("查询北京的天气\uff0c然后给张三发送邮件") == ("查询北京的天气", "给张三发送邮件")


@pytest.mark.parametrize("asked", ["Show salt and pepper", "weather", "", "one two three four"])
def test_one_thing_has_no_clauses(asked: str) -> None:
    assert clauses(asked) == ()


def test_clauses_are_bounded() -> None:
    assert len(clauses("please read this file. " * 100)) == CLAUSES

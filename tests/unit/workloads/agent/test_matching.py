import pytest

from flagscale_workloads.agent import Filter, StaticEncoder, Tool, ToolMatcher

from .conftest import TOOLS


def names(matcher: ToolMatcher, query: str, k: int = 3, **more: object) -> list[str]:
    found = matcher.match_tools(query, k, min_confidence=0, **more)  # type: ignore[arg-type]
    return [hit.tool.name for hit in found.hits]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("read the file notes.txt", "read_file"),
        ("will it rain in Paris tomorrow", "get_weather"),
        ("how many euros are 20 dollars", "convert_currency"),
        ("send a letter to Bob electronically", "send_mail"),
        ("北京天气怎么样", "查询天气"),
    ],
)
def test_the_right_tool_is_first(full: ToolMatcher, query: str, expected: str) -> None:
    assert names(full, query)[0] == expected


def test_a_request_for_two_things_finds_both(full: ToolMatcher) -> None:
    asked = "Tell me the weather forecast for Rome and then send an e-mail to Bob about it"
    assert set(names(full, asked, 2)) == {"get_weather", "send_mail"}


def test_a_hit_says_why(full: ToolMatcher) -> None:
    (hit,) = full.match_tools("read the file notes.txt", 1).hits

    assert set(hit.parts) == {"dense", "static", "lexical"}
    assert sum(part.weight for part in hit.parts.values()) == pytest.approx(1)
    told = sum(part.weight * part.scaled for part in hit.parts.values())
    assert hit.score == pytest.approx(told, abs=1e-5)
    assert hit.clause == "read the file notes.txt"


def test_a_request_that_no_tool_answers_is_held_back(full: ToolMatcher) -> None:
    found = full.match_tools("prove the Riemann hypothesis", 2)

    assert found.abstained
    assert found.hits == ()
    assert len(found.considered) == 2
    assert not full.match_tools("read the file notes.txt").abstained


def test_confidence_is_higher_where_a_tool_fits(full: ToolMatcher) -> None:
    fits = full.match_tools("get the weather forecast for a city").considered[0]
    wrong = full.match_tools("prove the Riemann hypothesis").considered[0]
    assert 0 < wrong.confidence < fits.confidence < 1


def test_named_weights_decide(full: ToolMatcher) -> None:
    words = full.score_tools("weather", [TOOLS[2].key], weights={"lexical": 1})
    assert {n: part.weight for n, part in words[0].parts.items()} == {
        "dense": 0,
        "static": 0,
        "lexical": 1,
    }


def test_scores_of_given_tools_are_theirs_among_all(full: ToolMatcher) -> None:
    every = full.match_tools("weather", 6, min_confidence=0).hits
    two = full.score_tools("weather", [TOOLS[0].key, TOOLS[2].key])

    scores = {hit.tool.key: hit.score for hit in every}
    assert [hit.tool.key for hit in two] == [TOOLS[2].key, TOOLS[0].key]
    assert all(hit.score == pytest.approx(scores[hit.tool.key]) for hit in two)


def test_similar_texts_are_nearer(full: ToolMatcher) -> None:
    near = full.compute_similarity("send an e-mail", "write a letter to someone")
    far = full.compute_similarity("send an e-mail", "exchange rates of currencies")
    assert near.tier == "transformer"
    assert near.value > far.value


def test_examples_teach_what_a_description_does_not_say() -> None:
    plain = Tool.create("zeta", "Performs the operation", server="x")
    taught = Tool.create(
        "omega",
        "Performs the operation",
        server="x",
        examples=("brew me a coffee", "make an espresso", "I want a cappuccino"),
    )
    matcher = ToolMatcher([plain, taught, *TOOLS], encoders={"static": StaticEncoder()})
    assert names(matcher, "a cup of latte please")[0] == "omega"
    matcher.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("",), "query: needs at least a word, got ''"),
        (("\x00 ",), "query: needs at least a word"),
        (("a", 0), "k: must be 1 to 100, got 0"),
        (("a", 101), "k: must be 1 to 100, got 101"),
    ],
)
def test_bad_arguments_are_named(static: ToolMatcher, arguments: tuple[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        static.match_tools(*arguments)


def test_weights_that_name_no_arm_are_refused(static: ToolMatcher) -> None:
    with pytest.raises(ValueError, match="weights: none of"):
        static.match_tools("weather", weights={"dnese": 1})


def test_an_unknown_key_is_refused(static: ToolMatcher) -> None:
    with pytest.raises(ValueError, match="keys: no such tool, got 'nope'"):
        static.score_tools("weather", ["nope"])


def test_nothing_is_found_in_nothing() -> None:
    matcher = ToolMatcher(encoders={})
    found = matcher.match_tools("weather")
    assert (found.hits, found.abstained, found.considered) == ((), True, ())


def test_a_task_joins_the_query(static: ToolMatcher) -> None:
    told = static.match_tools("do it", 1, task="weather forecast", min_confidence=0)
    assert told.hits[0].tool.name == "get_weather"


def test_keyword_stuffing_does_not_win(full: ToolMatcher) -> None:
    stuffed = Tool.create("spam", "weather forecast city rain " * 200, server="evil")
    matcher = ToolMatcher([*TOOLS, stuffed], encoders={})
    assert names(matcher, "get the weather forecast")[0] == "get_weather"


def test_only_allowed_tools_compete(static: ToolMatcher) -> None:
    where = Filter(categories=frozenset({"mail"}))
    (hit,) = static.match_tools("weather in Rome", where=where, min_confidence=0).hits
    assert hit.tool.name == "send_mail"

import traceback

from flagscale_workloads.serve.last_words import last_words


def traced() -> list[str]:
    try:
        raise ValueError("no such model")
    except ValueError:
        return traceback.format_exc().splitlines()


def test_of_a_traceback_its_last_line_is_kept() -> None:
    assert last_words(["loading", *traced(), "bye"]) == "loading\nValueError: no such model\nbye"


def test_a_log_that_begins_within_a_traceback_is_cut_to_its_last_line() -> None:
    assert last_words(traced()[1:]) == "ValueError: no such model"


def test_what_is_indented_elsewhere_stays() -> None:
    assert last_words(["shapes:", "  1 x 2"]) == "shapes:\n  1 x 2"

from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.serve.engine_output import KEPT_LINES, LIMIT_BYTES, EngineOutput

BAR = b"loading\n\r  0%|   |\r 50%|#  |"


def lines(output: EngineOutput, *data: bytes) -> list[str]:
    return [line for part in data for line in output.feed(part)]


def test_a_bar_is_the_newest_word_while_it_grows() -> None:
    output = EngineOutput()
    assert lines(output, BAR) == ["loading"]
    assert output.newest == " 50%|#  |"
    assert lines(output, b"\r100%|###|\n") == ["100%|###|"]
    assert list(output.tail) == ["loading", "100%|###|"]


def test_a_line_that_nothing_ends_is_kept_when_the_engine_ends() -> None:
    output = EngineOutput()
    assert lines(output, b"out of memory") == []
    assert list(output.close()) == ["out of memory"]
    assert list(output.close()) == []


def test_empty_lines_are_not_the_newest_word() -> None:
    output = EngineOutput()
    lines(output, b"weights read\n\n\r")
    assert output.newest == "weights read"
    assert EngineOutput().newest == ""


def test_only_the_end_of_a_long_output_is_kept() -> None:
    output = EngineOutput()
    lines(output, b"line\n" * 1000, b"x" * (3 * LIMIT_BYTES))
    assert len(output.tail) == KEPT_LINES
    assert len(output.newest) == LIMIT_BYTES


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xc3\xa4", b" "])), st.integers(1, 5))
def test_how_the_output_is_cut_into_reads_does_not_matter(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    whole, cut = EngineOutput(), EngineOutput()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert lines(whole, data) == lines(cut, *pieces)
    assert whole.newest == cut.newest

import pytest

from perf.ranges import outside, report

RANGES = {"p99_ms": {"max": 200, "why": "a user waits"}, "rate": {"min": 10, "why": "the bar"}}


def test_a_figure_outside_its_range_is_told_with_the_reason() -> None:
    assert outside({"p99_ms": 150, "rate": 10}, RANGES) == []
    (told,) = outside({"p99_ms": 250, "rate": 11}, RANGES)
    assert told == "p99_ms: out of range, got 250 (max 200): a user waits"


def test_a_missing_figure_is_out_of_range() -> None:
    assert len(outside({"p99_ms": 1}, RANGES)) == 1


def test_the_last_line_is_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("operator", {"rss_mib": 500.0}) == 1

    *told, last = capsys.readouterr().out.splitlines()
    assert last == '{"bench": "operator", "figures": {"rss_mib": 500.0}}'
    assert any(line.startswith("[bench operator] rss_mib: out of range") for line in told)

import pytest

from support.load import Load, Record, arrival_times, drive, prompts
from support.load_summary import summarize
from support.simulator import MODEL, running_simulator


def test_constant_arrivals_are_evenly_spaced() -> None:
    times = arrival_times(Load(10, 1, MODEL, arrivals="constant"))
    assert times == pytest.approx([n / 10 for n in range(1, 11)])


def test_poisson_arrivals_have_the_rate_and_are_the_same_for_the_same_seed() -> None:
    load = Load(100, 50, MODEL)
    times = arrival_times(load)
    assert times == sorted(times) == arrival_times(load)
    assert len(times) == pytest.approx(5000, rel=0.1)


def test_prompts_share_their_beginnings_in_turn() -> None:
    many = prompts(Load(1, 1, MODEL, prefixes=2, prefix_words=3, prompt_words=2))
    one, other, third = (next(many).split() for _ in range(3))
    assert one[:3] == third[:3] != other[:3]
    assert one[3:] != third[3:]


def test_the_summary_counts_every_request() -> None:
    records = [
        Record(0, 0.0, 0.0, "done", 1.0, 200, first_byte_s=0.5, tokens=10),
        Record(1, 1.0, 0.001, "refused", 0.1, 503),
        Record(2, 3.0, 0.0, "failed", 1.0, error="no answer"),
    ]
    summary = summarize(records)
    assert summary.endings == {"done": 1, "refused": 1, "failed": 1}
    assert summary.statuses == {200: 1, 503: 1}
    assert (summary.tokens_per_s, summary.first_byte_s[99]) == (2.5, 0.5)
    assert summarize([]).total_s == {}


async def test_every_request_has_a_record_even_if_nobody_listens() -> None:
    with running_simulator("--speed=20", "--fail-share=0.2") as simulator:
        load = Load(100, 0.5, MODEL, arrivals="constant", cancel_share=0.1, cancel_after_s=0.0)
        records = await drive(simulator.url, load)
    assert [record.number for record in records] == list(range(50))
    assert summarize(records).endings["cancelled"] == 5
    assert {record.ending for record in records} <= {"done", "refused", "cancelled"}
    (record,) = await drive(simulator.url, Load(10, 0.1, MODEL, arrivals="constant"))
    assert (record.ending, record.status) == ("failed", None)

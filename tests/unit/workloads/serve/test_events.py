import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.serve.events import EventStream, Usage, find_usage

STREAM = b"".join(
    b"data: " + json.dumps(event).encode() + b"\n\n"
    for event in (
        {"choices": [{"delta": {"content": "a"}}], "usage": None},
        {"choices": [{"delta": {"content": '"usage": {'}}]},
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 7,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 3},
            },
        },
    )
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_reads_the_same_however_it_is_cut(cuts: list[int]) -> None:
    whole = STREAM + b"data: [DONE]\n\n"
    edges = [0, *sorted(cuts), len(whole)]
    stream = EventStream()

    for start, end in itertools.pairwise(edges):
        if start < end:
            stream.feed(whole[start:end])

    assert stream.complete
    assert stream.usage() == Usage(7, 2)


@given(st.integers(1, len(STREAM)))
def test_a_stream_without_its_end_is_not_complete_and_its_error_is_an_event_of_its_own(
    cut: int,
) -> None:
    stream = EventStream()
    stream.feed(STREAM[:cut])

    told = STREAM[:cut] + stream.closing(b'{"error": {}}')

    assert not stream.complete
    assert told.endswith(b'\n\ndata: {"error": {}}\n\n')


@given(st.integers(1, 200))
def test_a_stream_of_the_responses_api_ends_with_its_own_event(cut: int) -> None:
    whole = b"".join(
        b"event: response." + name + b"\ndata: " + data + b"\n\n"
        for name, data in (
            (b"created", b"{}"),
            (b"output_text.delta", b'{"delta": "event: response.completed"}'),
            (b"completed", b'{"response": {}}'),
        )
    )
    stream, part = EventStream(), EventStream()

    stream.feed(whole[:cut])
    stream.feed(whole[cut:])
    part.feed(whole[: whole.rindex(b"event:")])

    assert stream.complete
    assert not part.complete


def test_an_answer_that_talks_of_the_end_has_not_ended() -> None:
    stream = EventStream()
    stream.feed(b'data: {"content": "data: [DONE]')

    assert not stream.complete


def test_usage_is_found_in_a_whole_answer_and_missing_where_there_is_none() -> None:
    body = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})

    assert find_usage(body.encode()) == Usage(3, 4)
    assert find_usage(b'{"choices": []}') is None
    assert find_usage(b'{"usage": null}') is None
    assert find_usage(b'{"usage": {"prompt_tokens": "many"}}') is None

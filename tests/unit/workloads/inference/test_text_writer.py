from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.inference.text_writer import TextWriter


def decode(tokens: list[int]) -> str:
    """A token per byte, as the smallest byte-level tokenizer."""
    return bytes(tokens).decode(errors="replace")


def write(data: bytes, *, stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    writer = TextWriter(decode, stop=stop)
    pieces = []
    for byte in data:
        pieces.append(writer.push(byte))
        if writer.stopped:
            break
    pieces.append(writer.finish())
    return [piece for piece in pieces if piece], writer.stopped


@given(st.text(max_size=40))
def test_pieces_make_the_text_and_no_half_characters(text: str) -> None:
    pieces, _ = write(text.encode())
    assert "".join(pieces) == text


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_nothing_from_a_stop_text_on_is_shown(text: str, stops: list[str]) -> None:
    pieces, stopped = write(text.encode(), stop=tuple(stops))
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    assert stopped is bool(ends)
    known = text[: min(ends)] if ends else text
    shown = min((known.index(stop) for stop in stops if stop in known), default=len(known))
    assert "".join(pieces) == known[:shown]


def test_text_is_shown_as_soon_as_no_stop_text_can_take_it_back() -> None:
    writer = TextWriter(decode, stop=("end",))
    assert [writer.push(byte) for byte in b"xenen"] == ["x", "", "", "en", ""]
    assert writer.finish() == "en"


def test_bytes_that_are_no_text_do_not_hold_the_answer_back() -> None:
    writer = TextWriter(decode)
    assert "".join(writer.push(0xFF) for _ in range(8)) == "�" * 8

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flagscale_runner.local.mounts import Mounts

MOUNTS = Mounts((("/data", Path("/home/me/corpus")), ("/data/out", Path("/scratch"))))


def test_the_deepest_mount_wins() -> None:
    assert MOUNTS.outside("/data/out/model") == "/scratch/model"
    assert MOUNTS.outside("/data/a.txt") == "/home/me/corpus/a.txt"


def test_only_whole_path_parts_match() -> None:
    assert MOUNTS.outside("/database/x") == "/database/x"


def test_the_value_of_an_option_is_rewritten() -> None:
    assert MOUNTS.outside("--input=/data/a.txt") == "--input=/home/me/corpus/a.txt"
    assert MOUNTS.outside("text=/data/a.txt") == "text=/data/a.txt"


def test_all_texts_of_a_value_are_rewritten_and_nothing_else() -> None:
    value = {"/data": ["/data", 1, None, True], "n": {"p": "/data/x"}}
    wanted = {"/data": ["/home/me/corpus", 1, None, True], "n": {"p": "/home/me/corpus/x"}}
    assert MOUNTS.outside_all(value) == wanted


@given(st.from_regex(r"(/[a-z]{1,5}){0,4}", fullmatch=True))
def test_what_went_out_comes_in_again(rest: str) -> None:
    path = f"/data{rest}"
    assert MOUNTS.inside(MOUNTS.outside(path)) == path

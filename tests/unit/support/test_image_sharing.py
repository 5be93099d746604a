from pathlib import Path

import pytest

from support.images.sharing import share

DIGEST = "sha256:" + "1" * 64


def blob(folder: Path, content: bytes) -> Path:
    path = folder / "blobs" / DIGEST.replace(":", "/")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return tmp_path / "ours"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return tmp_path / "theirs"


def test_equal_blobs_become_one_file(ours: Path, theirs: Path) -> None:
    mine, other = blob(ours, b"layer"), blob(theirs, b"layer")
    assert share([DIGEST], ours, theirs) == len(b"layer")
    assert mine.samefile(other)


def test_our_blob_stays_when_the_other_store_drops_its_own(ours: Path, theirs: Path) -> None:
    mine, other = blob(ours, b"layer"), blob(theirs, b"layer")
    share([DIGEST], ours, theirs)
    other.unlink()
    assert mine.read_bytes() == b"layer"


def test_sharing_twice_saves_nothing_more(ours: Path, theirs: Path) -> None:
    blob(ours, b"layer")
    blob(theirs, b"layer")
    share([DIGEST], ours, theirs)
    assert share([DIGEST], ours, theirs) == 0


def test_a_blob_that_the_other_store_lacks_stays_as_it_is(ours: Path, theirs: Path) -> None:
    mine = blob(ours, b"layer")
    assert share([DIGEST], ours, theirs) == 0
    assert mine.read_bytes() == b"layer"


def test_an_unfinished_blob_of_the_other_store_is_not_used(ours: Path, theirs: Path) -> None:
    mine = blob(ours, b"layer")
    blob(theirs, b"lay")
    assert share([DIGEST], ours, theirs) == 0
    assert mine.read_bytes() == b"layer"

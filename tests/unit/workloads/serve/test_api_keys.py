import json
from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.serve.api_keys import KeyRing, KeysFileError
from flagscale_workloads.serve.http.messages import HttpError


def write(path: Path, *keys: dict[str, Any]) -> Path:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"keys": list(keys)}))
    return fresh.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "keys.json", {"name": "ann", "key": "secret-of-ann"})


def test_a_key_finds_its_client(path: Path) -> None:
    ring = KeyRing(path, lambda: 0.0)

    assert ring.client(b"Bearer secret-of-ann").name == "ann"
    assert ring.client(b"bearer  secret-of-ann ").name == "ann"


@pytest.mark.parametrize("header", [None, b"", b"secret-of-ann", b"Bearer ", b"Bearer other"])
def test_anything_else_is_unauthorized_and_the_key_is_not_repeated(
    path: Path, header: bytes | None
) -> None:
    with pytest.raises(HttpError) as caught:
        KeyRing(path, lambda: 0.0).client(header)

    assert caught.value.status == 401
    assert dict(caught.value.headers)[b"www-authenticate"] == b"Bearer"
    assert "secret" not in caught.value.message


def test_a_rotated_key_keeps_its_clients_limits(path: Path) -> None:
    write(path, {"name": "ann", "key": "secret-of-ann", "concurrency": 1})
    ring = KeyRing(path, lambda: 0.0)
    ring.client(b"Bearer secret-of-ann").enter()

    write(path, {"name": "ann", "key": "new-secret", "concurrency": 1})
    ring.reload()

    assert ring.client(b"Bearer new-secret").running == 1
    with pytest.raises(HttpError):
        ring.client(b"Bearer secret-of-ann")


def test_a_broken_file_leaves_the_keys_as_they_are(path: Path) -> None:
    ring = KeyRing(path, lambda: 0.0)

    path.write_text('{"keys": [{"name": "ann"')
    ring.reload()

    assert ring.client(b"Bearer secret-of-ann").name == "ann"


@pytest.mark.parametrize(
    "content",
    [
        "nonsense",
        '{"keys": [{"name": "a", "key": "hunter2-hunter2", "surprise": 1}]}',
        '{"keys": [{"name": "a", "key": "hunter2-hunter2"}, {"name": "a", "key": "different"}]}',
        '{"keys": [{"name": "a", "key": "hunter2--"}, {"name": "b", "key": "hunter2--"}]}',
    ],
)
def test_a_file_that_can_not_be_used_is_refused_without_telling_keys(
    path: Path, content: str
) -> None:
    path.write_text(content)

    with pytest.raises(KeysFileError) as caught:
        KeyRing(path, lambda: 0.0)

    assert str(caught.value).startswith("auth.keysFile: ")
    assert "hunter2" not in str(caught.value)

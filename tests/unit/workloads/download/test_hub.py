"""A model of a hub: what is taken, what is refused, and that a token stays where it belongs."""

from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.download.errors import DownloadError
from support.model_downloads import fetch, hub_config, names
from support.model_hub import COMMIT, ModelHub, describe

TOKEN = "hf_do-not-tell"
LFS = {"sha256": "0" * 64, "pointerSize": 130}


def test_data_is_taken_and_code_is_not(hub: ModelHub, folder: Path, repository: Path) -> None:
    outcome = fetch(hub_config(hub, folder))

    assert names(folder) == ["config.json", "model.safetensors", "original/params.json"]
    weights = "model.safetensors"
    assert (folder / weights).read_bytes() == (repository / weights).read_bytes()
    assert outcome.revision == COMMIT
    assert str(outcome.digest).startswith("sha256:")
    assert sorted(p.name for p in folder.parent.iterdir()) == [".tiny.lock", "tiny"]


def test_what_is_there_is_not_asked_for_again(hub: ModelHub, folder: Path) -> None:
    first = fetch(hub_config(hub, folder))
    hub.seen.clear()

    assert fetch(hub_config(hub, folder)) == first
    assert hub.seen == []


def test_a_gguf_file_comes_without_the_other_weights(hub: ModelHub, folder: Path) -> None:
    fetch(hub_config(hub, folder, file="tiny-f16.gguf"))

    assert names(folder) == ["config.json", "original/params.json", "tiny-f16.gguf"]


def test_all_parts_of_a_split_gguf_are_taken(hub: ModelHub, folder: Path, repository: Path) -> None:
    parts = [f"big-0000{i}-of-00002.gguf" for i in (1, 2)]
    for part in parts:
        (repository / part).write_bytes(b"GGUF")
    fetch(hub_config(hub, folder, file=parts[0]))

    assert set(parts) <= set(names(folder))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(
    hub: ModelHub, folder: Path, repository: Path
) -> None:
    for small in ("config.json", "original/params.json"):
        (repository / small).unlink()
    hub.cuts = [1 << 20, 1 << 20, 100]
    fetch(hub_config(hub, folder))

    asked = [wanted for path, wanted, _ in hub.seen if path.endswith("model.safetensors")]
    assert asked[0] == ""
    assert asked[1:] == [f"bytes={n}-" for n in (1 << 20, 2 << 20, (2 << 20) + 100)]
    weights = "model.safetensors"
    assert (folder / weights).read_bytes() == (repository / weights).read_bytes()


def test_a_busy_hub_is_asked_again(hub: ModelHub, folder: Path) -> None:
    hub.statuses = [503, 429]
    fetch(hub_config(hub, folder))
    assert "model.safetensors" in names(folder)


def test_the_token_goes_to_the_hub_and_not_where_it_redirects(
    hub: ModelHub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.token, hub.cdn = TOKEN, hub.url.replace("127.0.0.1", "localhost")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    fetch(hub_config(hub, folder, tokenFile=str(tmp_path / "token")))

    to_cdn = [told for path, _, told in hub.seen if path.startswith("/cdn/")]
    to_hub = [told for path, _, told in hub.seen if not path.startswith("/cdn/")]
    assert to_cdn == [""]
    assert set(to_hub) == {f"Bearer {TOKEN}"}
    assert TOKEN not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        ({"hub": {"repo": "acme/none"}}, "ModelNotFound", "does not exist, or is private"),
        ({"hub": {"repo": "acme/a..b"}}, "ModelNotFound", "is no name of the hub"),
        ({"hub": {"revision": "v9"}}, "ModelNotFound", "no such revision"),
        ({"file": "other.gguf"}, "ModelNotFound", "it has tiny-f16.gguf"),
        ({"maxBytes": 1 << 20}, "ModelTooLarge", "raise spec.model.maxDownloadBytes"),
        ({"tokenFile": "/nowhere/token"}, "ModelUnauthorized", "no key token"),
        ({"caFile": "/nowhere/ca.pem"}, "ModelUnauthorized", "spec.model.caSecretRef"),
        ({"hub": {"endpoint": "http://127.0.0.1:9"}}, "ModelSourceUnreachable", "can't be reached"),
    ],
)
def test_a_failure_has_its_reason_and_a_next_step(
    hub: ModelHub, folder: Path, change: dict[str, Any], reason: str, told: str
) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(hub_config(hub, folder, **change))

    assert caught.value.reason == reason
    assert told in str(caught.value)
    assert not folder.exists()


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_is_told(hub: ModelHub, folder: Path, status: int) -> None:
    hub.statuses = [status]
    with pytest.raises(DownloadError, match="tokenSecretRef") as caught:
        fetch(hub_config(hub, folder))
    assert caught.value.reason == "ModelUnauthorized"


def test_too_large_for_the_disk_is_told_before_a_byte_is_read(
    hub: ModelHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = {"rfilename": "model.safetensors", "size": 1 << 60}
    monkeypatch.setattr("support.model_hub.describe", lambda _: [huge])
    with pytest.raises(DownloadError, match=r"are needed, .* are free") as caught:
        fetch(hub_config(hub, folder, maxBytes=1 << 61))
    assert caught.value.reason == "ModelDiskFull"
    assert not any("/resolve/" in path for path, _, _ in hub.seen)


@pytest.mark.parametrize("token", ["hf_a\nb", "hf_ü", "hf_a b"])
def test_a_token_that_no_header_takes_is_told_without_it(
    hub: ModelHub, folder: Path, tmp_path: Path, token: str
) -> None:
    (tmp_path / "token").write_text(token)
    with pytest.raises(DownloadError, match="key token holds characters") as caught:
        fetch(hub_config(hub, folder, tokenFile=str(tmp_path / "token")))
    assert token not in str(caught.value)


def test_a_server_that_is_no_hub_is_told(hub: ModelHub, folder: Path) -> None:
    hub.statuses = [200]
    with pytest.raises(DownloadError, match="does not answer as a hub"):
        fetch(hub_config(hub, folder))


def test_one_failing_file_ends_the_others_and_is_the_one_told(
    hub: ModelHub, folder: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"rfilename": "zz.json", "size": 7, "blobId": "0" * 40}
    described = [*describe(repository), gone]
    monkeypatch.setattr("support.model_hub.describe", lambda _: described)
    with pytest.raises(DownloadError, match=r"zz\.json: does not exist") as caught:
        fetch(hub_config(hub, folder))
    assert caught.value.reason == "ModelNotFound"


def test_pickled_weights_alone_are_refused(hub: ModelHub, folder: Path, repository: Path) -> None:
    (repository / "model.safetensors").unlink()
    (repository / "tiny-f16.gguf").unlink()
    with pytest.raises(DownloadError, match="convert the weights to safetensors") as caught:
        fetch(hub_config(hub, folder))
    assert caught.value.reason == "ModelUnusable"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_with_another_digest_than_the_hub_tells_is_refused(
    hub: ModelHub, folder: Path, repository: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = [
        {**told, "blobId": "0" * 40, "lfs": told.get("lfs") and {**LFS, "size": told["size"]}}
        if told["rfilename"] == name
        else told
        for told in describe(repository)
    ]
    monkeypatch.setattr("support.model_hub.describe", lambda _: described)
    with pytest.raises(DownloadError, match=f"{name} has another digest") as caught:
        fetch(hub_config(hub, folder))
    assert caught.value.reason == "ModelDigestMismatch"
    assert not folder.exists()

"""A file or an archive of an https server whose CA is not a public one."""

import hashlib
import io
import ssl
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flagscale_workloads.download.errors import DownloadError
from support.cluster import pki
from support.model_downloads import fetch, names, safetensors, web_config
from support.model_hub import ModelHub

GGUF = b"GGUF" + bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.ensure(folder, [pki.Identity("server", "server", names=("127.0.0.1",))])
    return folder


@pytest.fixture
def server(tmp_path: Path, certificates: Path) -> Iterator[ModelHub]:
    (tmp_path / "files").mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    hub = ModelHub(tmp_path / "files", tls=context).run()
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def ca(certificates: Path) -> str:
    return str(certificates / "ca.crt")


def put(server: ModelHub, name: str, content: bytes) -> tuple[str, str]:
    """Its URI and digest."""
    (server.root / name).write_bytes(content)
    return f"{server.url}/{name}", hashlib.sha256(content).hexdigest()


def packed(files: dict[str, bytes], *, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_arrives_over_broken_connections_with_and_without_ranges(
    server: ModelHub, folder: Path, ca: str, *, ranges: bool
) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    server.cuts, server.ranges = [1 << 19, 1 << 18], ranges
    fetch(web_config(uri, folder, sha256=digest, file="m.gguf", caFile=ca))

    assert (folder / "m.gguf").read_bytes() == GGUF


def test_an_archive_is_unpacked_without_its_outermost_folder_and_without_code(
    server: ModelHub, folder: Path, ca: str
) -> None:
    inside = {
        "tiny/config.json": b"{}",
        "tiny/model.safetensors": safetensors(1 << 20),
        "tiny/modeling.py": b"boom",
        "tiny/pytorch_model.bin": b"boom",
        "tiny/draft.gguf": b"GGUF",
    }
    uri, digest = put(server, "tiny.tar.gz", packed(inside))
    fetch(web_config(uri, folder, sha256=digest, caFile=ca))

    assert names(folder) == ["config.json", "model.safetensors"]
    assert sorted(p.name for p in folder.parent.iterdir()) == [".tiny.lock", "tiny"]


@pytest.mark.parametrize(
    ("files", "link", "reason", "told"),
    [
        ({"model.safetensors": b"x"}, "config.json", "ModelUnusable", "a link or device"),
        ({"pytorch_model.bin": b"x"}, "", "ModelUnusable", "convert the weights"),
        ({"a.gguf": b"x"}, "", "ModelUnusable", "with engine llamacpp and spec.model.file"),
        ({"model.safetensors": bytes(3 << 20)}, "", "ModelTooLarge", "maxDownloadBytes"),
    ],
)
def test_an_archive_that_can_not_be_served_is_refused(
    server: ModelHub,
    folder: Path,
    ca: str,
    files: dict[str, bytes],
    link: str,
    reason: str,
    told: str,
) -> None:
    uri, digest = put(server, "m.tgz", packed(files, link=link))
    with pytest.raises(DownloadError) as caught:
        fetch(web_config(uri, folder, sha256=digest, caFile=ca, maxBytes=2 << 20))

    assert caught.value.reason == reason
    assert told in str(caught.value)
    assert not folder.exists()


def test_nothing_of_an_archive_lands_outside_of_its_folder(
    server: ModelHub, folder: Path, ca: str, tmp_path: Path
) -> None:
    evil = {"../../evil.json": b"{}", "/evil.json": b"{}", "a/../../../evil.json": b"{}"}
    uri, digest = put(server, "m.tar", packed({"model.safetensors": b"x", **evil}))
    fetch(web_config(uri, folder, sha256=digest, caFile=ca))

    assert names(folder) == ["model.safetensors"]
    assert list(tmp_path.rglob("evil.json")) == []


def test_a_cut_archive_is_told(server: ModelHub, folder: Path, ca: str) -> None:
    uri, digest = put(server, "m.tgz", packed({"model.safetensors": bytes(9999)})[:-40])
    with pytest.raises(DownloadError, match="is no intact archive"):
        fetch(web_config(uri, folder, sha256=digest, caFile=ca))


def test_another_digest_is_refused_and_the_next_try_begins_anew(
    server: ModelHub, folder: Path, ca: str
) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    put(server, "m.gguf", GGUF[::-1])
    config = web_config(uri, folder, sha256=digest, file="m.gguf", caFile=ca)
    with pytest.raises(DownloadError, match="has another digest") as caught:
        fetch(config)
    assert caught.value.reason == "ModelDigestMismatch"

    put(server, "m.gguf", GGUF)
    fetch(config)
    assert names(folder) == ["m.gguf"]


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ([404], "ModelNotFound"),
        ([410], "ModelNotFound"),
        ([403], "ModelUnauthorized"),
        ([418], "ModelDownloadFailed"),
        ([500] * 9, "ModelSourceUnreachable"),
    ],
)
def test_an_error_of_the_server_has_its_reason(
    server: ModelHub, folder: Path, ca: str, statuses: list[int], reason: str
) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    server.statuses = statuses
    with pytest.raises(DownloadError, match=r"spec\.model\.uri") as caught:
        fetch(web_config(uri, folder, sha256=digest, file="m.gguf", caFile=ca))
    assert caught.value.reason == reason


def test_a_file_that_outgrows_the_limit_is_refused(server: ModelHub, folder: Path, ca: str) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    with pytest.raises(DownloadError) as caught:
        fetch(web_config(uri, folder, sha256=digest, file="m.gguf", caFile=ca, maxBytes=1 << 20))
    assert caught.value.reason == "ModelTooLarge"


def test_a_file_that_is_too_large_for_the_disk_is_refused_at_once(
    server: ModelHub, folder: Path, ca: str
) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    server.claimed = 1 << 60
    with pytest.raises(DownloadError, match=r"are needed, .* are free") as caught:
        fetch(web_config(uri, folder, sha256=digest, file="m.gguf", caFile=ca, maxBytes=1 << 61))
    assert caught.value.reason == "ModelDiskFull"


def test_progress_is_told_in_percent_though_the_size_comes_late(
    server: ModelHub, folder: Path, ca: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    fetch(web_config(uri, folder, sha256=digest, file="m.gguf", caFile=ca))
    assert "100%, 1.2 MiB of 1.2 MiB" in capsys.readouterr().err


def test_a_certificate_of_an_unknown_ca_is_not_trusted(server: ModelHub, folder: Path) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    with pytest.raises(DownloadError, match="certificate") as caught:
        fetch(web_config(uri, folder, sha256=digest, file="m.gguf"))
    assert caught.value.reason == "ModelSourceUnreachable"
    assert server.seen == []


def test_what_is_no_certificate_is_told(server: ModelHub, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    uri, digest = put(server, "m.gguf", GGUF)
    config = web_config(uri, folder, sha256=digest, caFile=str(tmp_path / "ca.pem"))
    with pytest.raises(DownloadError, match="holds no PEM certificate"):
        fetch(config)


def test_a_redirect_that_drops_tls_is_not_followed(
    server: ModelHub, hub: ModelHub, folder: Path, ca: str
) -> None:
    uri, digest = put(server, "m.gguf", GGUF)
    server.redirect = hub.url
    with pytest.raises(DownloadError, match="redirects to a URL without TLS"):
        fetch(web_config(uri, folder, sha256=digest, file="m.gguf", caFile=ca))
    assert hub.seen == []

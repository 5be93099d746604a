"""A folder or file of a bucket, on moto's S3 server."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from flagscale_workloads.download.errors import DownloadError
from support.model_downloads import fetch, names, safetensors, web_config

URI = "s3://models/acme/tiny"
WEIGHTS = safetensors(9 << 20)
PART = 5 << 20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="models")
    for name in ("config.json", "tokenizer.model", "modeling.py", "pytorch_model.bin"):
        client.put_object(Bucket="models", Key=f"acme/tiny/{name}", Body=b"{}")
    client.put_object(Bucket="models", Key="acme/tiny/", Body=b"")
    client.put_object(Bucket="models", Key="acme/tiny-other/config.json", Body=b"{}")
    client.put_object(Bucket="models", Key="m.gguf", Body=b"GGUF", ACL="public-read")
    client.put_object(Bucket="models", Key="private.gguf", Body=b"GGUF")
    _put_in_parts(client, "acme/tiny/model.safetensors")
    yield url
    server.stop()


def _put_in_parts(client: Any, key: str) -> None:
    """As large files are: without a digest of the whole."""
    where = {"Bucket": "models", "Key": key}
    upload = {**where, "UploadId": client.create_multipart_upload(**where)["UploadId"]}
    parts = []
    for number, at in enumerate(range(0, len(WEIGHTS), PART), 1):
        body = WEIGHTS[at : at + PART]
        tag = client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    for key, value in (("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "s3cr3t-value")):
        (tmp_path / key).write_text(value)
    return str(tmp_path)


def test_the_data_of_a_folder_is_taken_and_nothing_beside_it(
    endpoint: str, folder: Path, credentials: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(web_config(URI, folder, s3={"endpoint": endpoint}, credentials=credentials))

    assert names(folder) == ["config.json", "model.safetensors", "tokenizer.model"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert "s3cr3t-value" not in "".join(capsys.readouterr())


def test_a_partial_file_is_taken_up_where_it_ends(
    endpoint: str, folder: Path, credentials: str
) -> None:
    config = web_config(URI, folder, s3={"endpoint": endpoint}, credentials=credentials)
    fetch(config)
    work = folder.with_name(f".{folder.name}.partial")
    (work / "files").mkdir(parents=True)
    weights = work / "files" / "model.safetensors"
    weights.with_name(f"{weights.name}.partial").write_bytes(WEIGHTS[: 4 << 20])
    (work / "plan.json").write_text("{}")
    (folder / "config.json").unlink()

    fetch(config)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_single_file_is_checked_by_its_digest(endpoint: str, folder: Path) -> None:
    digest = hashlib.sha256(b"GGUF").hexdigest()
    told = {"s3": {"endpoint": endpoint}, "file": "m.gguf"}
    fetch(web_config("s3://models/m.gguf", folder, sha256=digest, **told))
    assert names(folder) == ["m.gguf"]

    other = folder.with_name("other")
    with pytest.raises(DownloadError, match="has another digest"):
        fetch(web_config("s3://models/m.gguf", other, sha256="0" * 64, **told))


@pytest.mark.parametrize(
    ("uri", "change", "reason", "told"),
    [
        ("s3://models/acme/none", {}, "ModelNotFound", "no such folder"),
        ("s3://models/none.gguf", {"file": "none.gguf"}, "ModelNotFound", "does not exist"),
        ("s3://nowhere/acme/tiny", {}, "ModelNotFound", "NoSuchBucket"),
        (
            "s3://models/private.gguf",
            {"file": "private.gguf"},
            "ModelUnauthorized",
            "set or correct",
        ),
        (URI, {"credentials": "/nowhere"}, "ModelUnauthorized", "no key AWS_ACCESS_KEY_ID"),
        (URI, {"s3": {"endpoint": "http://127.0.0.1:9"}}, "ModelSourceUnreachable", "check the"),
        (URI, {"maxBytes": 1 << 20}, "ModelTooLarge", "raise spec.model.maxDownloadBytes"),
    ],
)
def test_a_failure_has_its_reason_and_a_next_step(
    endpoint: str, folder: Path, uri: str, change: dict[str, Any], reason: str, told: str
) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(web_config(uri, folder, **{"s3": {"endpoint": endpoint}, **change}))

    assert caught.value.reason == reason
    assert told in str(caught.value)
    assert not folder.exists()

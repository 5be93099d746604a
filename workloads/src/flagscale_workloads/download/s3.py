"""A folder or a file of an S3 bucket."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from flagscale_api.v1alpha1.model_download import SINGLE_FILE, S3Location
from flagscale_workloads.download.errors import DownloadError, InterruptedDownloadError
from flagscale_workloads.download.policy import MAX_FILES
from flagscale_workloads.download.remote import (
    ARRIVING,
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    Digest,
    Listing,
    RemoteFile,
    Stream,
)

DEFAULT_REGION: Final = "us-east-1"
_REMEDY: Final = (
    "set or correct spec.model.s3.credentialsSecretRef, and let it list and read the folder"
)
_NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_BUSY: Final = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"})
_ELSEWHERE: Final = frozenset({"301", "PermanentRedirect", "AuthorizationHeaderMalformed"})


def make_client(location: S3Location, credentials: Mapping[str, str], ca_file: Path | None) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
    """A client that signs with these credentials, or asks anonymously."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        max_pool_connections=16,
        s3={"addressing_style": "path" if location.endpoint else "auto"},
        **({} if credentials else {"signature_version": UNSIGNED}),
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=location.endpoint,
        region_name=location.region or DEFAULT_REGION,
        aws_access_key_id=credentials.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        verify=str(ca_file) if ca_file else None,
        config=config,
    )


class BucketFolder:
    """All objects below a prefix, or the one object that a URI names."""

    def __init__(self, uri: str, sha256: str | None, client: Any) -> None:  # noqa: ANN401
        self.where = f"spec.model.uri {uri}"
        self._client = client
        self._bucket = urlsplit(uri).netloc
        self._key = uri.removeprefix(f"s3://{self._bucket}/")
        self._single = bool(re.search(SINGLE_FILE, self._key))
        self._sha256 = sha256

    def list(self) -> Listing:
        """The objects."""
        with self._explaining():
            if self._single:
                head = self._client.head_object(Bucket=self._bucket, Key=self._key)
                return Listing((self._remote(PurePosixPath(self._key).name, head),))
            prefix = f"{self._key}/"
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            entries = (entry for page in pages for entry in page.get("Contents", ()))
            found = list(islice(entries, MAX_FILES + 1))
        if not found:
            msg = f"{self.where}: the bucket has no such folder; correct it"
            raise DownloadError("ModelNotFound", msg)
        return Listing(
            tuple(
                self._remote(entry["Key"].removeprefix(prefix), entry)
                for entry in found
                if not entry["Key"].endswith("/")
            )
        )

    @contextmanager
    def read(self, file: RemoteFile, offset: int) -> Iterator[Stream]:
        """See `Source.read`; an object that has changed since it was listed is not mixed in."""
        key = self._key if self._single else f"{self._key}/{file.name}"
        wanted: dict[str, Any] = {"Bucket": self._bucket, "Key": key, "IfMatch": file.version}
        if offset:
            wanted["Range"] = f"bytes={offset}-"
        with self._explaining():
            body = self._client.get_object(**wanted)["Body"]
            try:
                yield Stream(offset, body.iter_chunks(ARRIVING), file.size)
            finally:
                body.close()

    def close(self) -> None:
        """See `Source.close`."""
        self._client.close()

    def _remote(self, name: str, entry: Mapping[str, Any]) -> RemoteFile:
        digest = Digest("sha256", self._sha256) if self._sha256 else None
        size = entry.get("Size", entry.get("ContentLength"))
        return RemoteFile(name, size, digest, version=entry["ETag"])

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._explained(error) from error
        except (HTTPClientError, BotoConnectionError, IncompleteReadError) as error:
            raise InterruptedDownloadError(str(error)) from error
        except FlexibleChecksumError as error:
            msg = f"{self.where}: arrived damaged ({error}); it begins anew by itself"
            raise DownloadError("ModelDigestMismatch", msg) from error
        except BotoCoreError as error:
            msg = f"{self.where}: {error}; correct spec.model.s3"
            raise DownloadError("ModelDownloadFailed", msg) from error

    def _explained(self, error: ClientError) -> Exception:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = f"{self.where}: the server answered {code}"
        if code in _NOT_FOUND:
            msg = f"{self.where}: does not exist, got {code}; correct it"
            return DownloadError("ModelNotFound", msg)
        if code in _ELSEWHERE:
            msg = f"{told}; set spec.model.s3.region to that of the bucket"
            return DownloadError("ModelDownloadFailed", msg)
        if code in _BUSY or status >= 500 or status == 429:
            return InterruptedDownloadError(code)
        if status in (401, 403):
            return DownloadError("ModelUnauthorized", f"{told}; {_REMEDY}")
        if status == 412:
            msg = f"{self.where}: was changed while it was downloaded; it begins anew by itself"
            return DownloadError("ModelDownloadFailed", msg)
        return DownloadError("ModelDownloadFailed", f"{told}; correct spec.model.uri")

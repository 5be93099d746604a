"""Reading files over HTTP: what a hub and an https server have in common, and the latter."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx2

from flagscale_workloads.download.errors import DownloadError, InterruptedDownloadError
from flagscale_workloads.download.remote import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    Digest,
    Listing,
    RemoteFile,
    Stream,
)

BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def make_client(ca_file: Path | None) -> httpx2.Client:
    """A client that trusts one CA, or the public ones. Raises DownloadError."""
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        trust = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
    except (OSError, ssl.SSLError) as error:
        msg = f"spec.model.caSecretRef: holds no PEM certificate ({error}); correct the Secret"
        raise DownloadError("ModelDownloadFailed", msg) from error
    # Without its default encodings: sizes and offsets are those of the file, not of its gzip.
    headers = {"accept-encoding": "identity"}
    return httpx2.Client(verify=trust, timeout=timeout, follow_redirects=True, headers=headers)


def check_status(response: httpx2.Response, where: str, *, remedy: str) -> None:
    """Raise what an error status means; `remedy` is what to do when access is refused."""
    status = response.status_code
    if status in (401, 403):
        msg = f"{where}: the server refuses access, got HTTP {status}; {remedy}"
        raise DownloadError("ModelUnauthorized", msg)
    if status in (404, 410):
        msg = f"{where}: does not exist, got HTTP {status}; correct it"
        raise DownloadError("ModelNotFound", msg)
    if status in BUSY:
        raise InterruptedDownloadError(f"HTTP {status}")
    if status >= 400:
        msg = f"{where}: the server can't answer, got HTTP {status}; correct it"
        raise DownloadError("ModelDownloadFailed", msg)


@contextmanager
def http_stream(
    client: httpx2.Client,
    url: str,
    offset: int,
    *,
    where: str,
    remedy: str,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Stream]:
    """A file from an offset on. Raises DownloadError, InterruptedDownloadError."""
    asked = {**(headers or {}), **({"range": f"bytes={offset}-"} if offset else {})}
    try:
        with client.stream("GET", url, headers=asked) as response:
            if response.status_code == 416:
                # Nothing is left to read there, or the file has changed.
                yield Stream(offset, iter(()))
                return
            check_status(response, where, remedy=remedy)
            start = _start(response) if response.status_code == 206 else 0
            length = response.headers.get("content-length", "")
            size = start + int(length) if length.isdigit() else None
            yield Stream(start, response.iter_raw(), size)
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise InterruptedDownloadError(reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """A transport error's words, or its name where it has none."""
    return str(error) or type(error).__name__


def _start(response: httpx2.Response) -> int:
    text = response.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    if not text.isdigit():
        raise InterruptedDownloadError("a partial answer that does not say where it begins")
    return int(text)


class WebFile:
    """One file of an https server; its digest is known beforehand."""

    def __init__(self, uri: str, sha256: str, client: httpx2.Client) -> None:
        self.where = f"spec.model.uri {uri}"
        self._uri = uri
        self._sha256 = sha256
        self._client = client
        client.event_hooks = {"request": [self._stay_encrypted]}

    def list(self) -> Listing:
        """The one file; its size shows when it is read."""
        name = PurePosixPath(unquote(urlsplit(self._uri).path)).name
        return Listing((RemoteFile(name, None, Digest("sha256", self._sha256)),))

    @contextmanager
    def read(self, file: RemoteFile, offset: int) -> Iterator[Stream]:
        """See `Source.read`."""
        del file
        remedy = "files that need a login can't be downloaded; use s3:// or spec.model.volume"
        with http_stream(
            self._client, self._uri, offset, where=self.where, remedy=remedy
        ) as stream:
            yield stream

    def close(self) -> None:
        """See `Source.close`."""
        self._client.close()

    def _stay_encrypted(self, request: httpx2.Request) -> None:
        if request.url.scheme != "https":
            msg = f"{self.where}: redirects to a URL without TLS, got {request.url.scheme}://; "
            raise DownloadError("ModelDownloadFailed", f"{msg}name the file's own https URL")

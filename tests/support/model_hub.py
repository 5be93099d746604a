"""A model hub and file server, with the standard library alone, so that it runs in any pod.

`python model_hub.py FOLDER PORT` serves FOLDER/<owner>/<repo>/... as repositories of one commit:
the two endpoints that huggingface_hub downloads through, with ranges, tokens and a redirect of
large files to another host; and every file at its plain path. Its faults are attributes.
"""

import hashlib
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
BRANCH = "main"
LARGE = 1 << 16
BLOCK = 1 << 14


class ModelHub(ThreadingHTTPServer):
    """Serves until `shutdown`."""

    daemon_threads = True

    def __init__(
        self,
        root: Path,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__((host, port), Handler)
        self.root = root
        self.token: str | None = None
        self.cuts: list[int] = []
        """The next answers end after so many bytes of a file."""
        self.statuses: list[int] = []
        """The next requests are answered with these."""
        self.on_block: Callable[[int], None] = lambda _: None
        """Called with how far into a file an answer is."""
        self.ranges = True
        self.claimed = 0
        """Content-Length of files, where it is not their own."""
        self.cdn = ""
        """Where large files are redirected to."""
        self.redirect = ""
        """Where every plain file is redirected to."""
        self.seen: list[tuple[str, str, str]] = []
        """Path, range and authorization of every request."""
        self.secure = tls is not None
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        scheme = "https" if self.secure else "http"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def run(self) -> "ModelHub":
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return self

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def describe(folder: Path) -> Iterator[dict[str, object]]:
    """A repository's files as the hub tells them: large ones are in LFS."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        told: dict[str, object] = {
            "rfilename": path.relative_to(folder).as_posix(),
            "size": len(content),
            "blobId": blob.hexdigest(),
        }
        if len(content) >= LARGE:
            digest = hashlib.sha256(content).hexdigest()
            told["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
        yield told


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: ModelHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub, path = self.server, unquote(urlsplit(self.path).path)
        authorization = self.headers.get("Authorization", "")
        hub.seen.append((path, self.headers.get("Range", ""), authorization))
        if hub.statuses:
            self._answer(hub.statuses.pop(0))
        elif path.startswith("/cdn/"):
            self._file(hub.root / path.removeprefix("/cdn/"))
        elif hub.token and authorization != f"Bearer {hub.token}":
            self._answer(401, {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/models/"):
            self._describe(*path.removeprefix("/api/models/").split("/revision/"))
        elif "/resolve/" in path:
            repo, _, rest = path.strip("/").partition("/resolve/")
            self._resolve(hub.root / repo / rest.partition("/")[2])
        elif hub.redirect:
            self._answer(302, {"Location": hub.redirect + path})
        else:
            self._file(hub.root / path.strip("/"))

    def log_message(self, *args: object) -> None:
        """Tests are quiet."""

    def _describe(self, repo: str, revision: str) -> None:
        folder = self.server.root / repo
        if not folder.is_dir():
            self._answer(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (BRANCH, COMMIT):
            self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            told = {"id": repo, "sha": COMMIT, "siblings": list(describe(folder))}
            self._answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())

    def _resolve(self, path: Path) -> None:
        if self.server.cdn and path.is_file() and path.stat().st_size >= LARGE:
            where = path.relative_to(self.server.root).as_posix()
            self._answer(302, {"Location": f"{self.server.cdn}/cdn/{where}"})
        else:
            self._file(path)

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, {"X-Error-Code": "EntryNotFound"})
            return
        content, wanted = path.read_bytes(), self.headers.get("Range", "")
        start = int(wanted[6:].partition("-")[0]) if wanted and self.server.ranges else 0
        if start and start >= len(content):
            self._answer(416)
            return
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, {"Content-Range": told} if start else {}, content[start:])
        rest, on_block = content[start:], self.server.on_block
        if self.server.cuts:
            rest = rest[: self.server.cuts.pop(0)]
            self.close_connection = True
        for at in range(0, len(rest), BLOCK):
            self.wfile.write(rest[at : at + BLOCK])
            on_block(start + at + BLOCK)

    def _head(self, status: int, headers: dict[str, str], body: bytes) -> None:
        length = (self.server.claimed if body else 0) or len(body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        self._head(status, headers or {}, body)
        self.wfile.write(body)


if __name__ == "__main__":
    ModelHub(Path(sys.argv[1]), int(sys.argv[2]), host="").serve_forever()

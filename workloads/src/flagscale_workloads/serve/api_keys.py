"""API keys from a file that a Secret is mounted as; read again when it changes."""

import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from flagscale_api.runtime.serve import ApiKey, ApiKeys
from flagscale_workloads.serve.http.messages import HttpError
from flagscale_workloads.serve.limits import Client, KeyLimits

_log = logging.getLogger(__name__)
_BEARER = b"bearer "
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)


class KeysFileError(Exception):
    """The keys file can't be used; the message never holds a key."""


def read_keys(path: Path) -> list[ApiKey]:
    """The clients of a file. Raises KeysFileError."""
    try:
        keys = ApiKeys.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        msg = f"auth.keysFile: cannot be read, got {path} ({error.strerror}); mount the Secret"
        raise KeysFileError(msg) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"auth.keysFile: not valid, got {path} ({where}: {first['msg']}); correct the Secret"
        raise KeysFileError(msg) from None
    for field in ("name", "key"):
        if len({getattr(key, field) for key in keys}) < len(keys):
            msg = f"auth.keysFile: a {field} occurs twice, got {path}; make each unique"
            raise KeysFileError(msg)
    return keys


class KeyRing:
    """Finds the client of a bearer token; keys are kept and compared as digests only."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._seen: object = None
        self._clients: dict[bytes, Client] = {}
        self._load()

    def _load(self) -> None:
        self._seen = self._version()
        before = {client.limits: client for client in self._clients.values()}
        clients: dict[bytes, Client] = {}
        for spec in read_keys(self._path):
            limits = KeyLimits.of(spec)
            # A rotated key keeps its buckets: it is the same client.
            client = before.get(limits) or Client(limits, self._now)
            clients[_digest(spec.key.encode())] = client
        self._clients = clients

    def _version(self) -> object:
        # A mounted Secret changes by a swapped symbolic link, so the inode tells.
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_ino, stat.st_mtime_ns, stat.st_size)

    def reload(self) -> None:
        """Take over a changed file; one that can't be used leaves the keys as they are."""
        if self._version() == self._seen:
            return
        try:
            self._load()
        except KeysFileError as error:
            _log.error("%s; the keys from before stay", error)

    def client(self, authorization: bytes | None) -> Client:
        """The client of an Authorization header. Raises HttpError 401."""
        if not authorization or authorization[: len(_BEARER)].lower() != _BEARER:
            raise _unauthorized("missing", "send Authorization: Bearer <key>")
        client = self._clients.get(_digest(authorization[len(_BEARER) :].strip()))
        if client is None:
            raise _unauthorized("not known", "ask for a valid one")
        return client


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()


def _unauthorized(what: str, remedy: str) -> HttpError:
    message = f"API key: {what}; {remedy}"
    return HttpError(401, "invalid_api_key", message, headers=_CHALLENGE)

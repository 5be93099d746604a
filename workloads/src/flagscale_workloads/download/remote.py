"""What a source is: a list of files, each readable from any byte on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Algorithm = Literal["sha256", "git"]
BLOCK: Final = 1 << 20
ARRIVING: Final = 1 << 16
"""What of a block had arrived is lost when a connection breaks, so these are small."""
CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Digest:
    """What the source says the content hashes to; git: SHA-1 of a git blob."""

    algorithm: Algorithm
    value: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file, as its source lists it."""

    name: str
    """Path below the model's folder."""
    size: int | None
    digest: Digest | None
    version: str = ""
    """Changes when the content does, where the source knows (an ETag)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a model; `revision` is the commit of a hub."""

    files: tuple[RemoteFile, ...]
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes from an offset on, which is less than asked for where a server knows no ranges."""

    offset: int
    blocks: Iterator[bytes]
    size: int | None = None
    """Of the whole file, where the server tells."""


class Source(Protocol):
    """Where a model comes from; methods may be called from several threads.

    Both raise DownloadError, and InterruptedDownloadError for what is worth another try.
    """

    where: str
    """Field and value, as the head of a sentence."""

    def list(self) -> Listing:
        """All files that there are."""

    def read(self, file: RemoteFile, offset: int) -> AbstractContextManager[Stream]:
        """Open a file."""

    def close(self) -> None:
        """End all connections."""

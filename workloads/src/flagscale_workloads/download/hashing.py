"""Hashes of a file while it is written; the same when writing goes on after an interruption."""

import hashlib
from pathlib import Path
from typing import Final

from flagscale_workloads.download.remote import BLOCK, Digest, RemoteFile


class Hashes:
    """SHA-256 of the content, and what the source's own digest needs."""

    def __init__(self, file: RemoteFile) -> None:
        self._expected: Final = file.digest
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(usedforsecurity=False)
        self._as_git = file.digest is not None and file.digest.algorithm == "git"
        # What git calls a blob: its length comes before its content.
        self._git.update(f"blob {file.size}\0".encode())
        self.count = 0

    def update(self, block: bytes) -> None:
        """Further bytes."""
        self._sha256.update(block)
        if self._as_git:
            self._git.update(block)
        self.count += len(block)

    def read(self, path: Path) -> None:
        """All bytes of a file."""
        with path.open("rb") as stored:
            while block := stored.read(BLOCK):
                self.update(block)

    @property
    def sha256(self) -> str:
        """As hex."""
        return self._sha256.hexdigest()

    def mismatch(self) -> tuple[Digest, str] | None:
        """The digest that the source tells and what was found instead, if they differ."""
        if self._expected is None:
            return None
        found = self._git.hexdigest() if self._as_git else self.sha256
        return None if found == self._expected.value else (self._expected, found)

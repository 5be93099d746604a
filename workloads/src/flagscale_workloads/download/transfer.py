"""One file from a source to the disk: resumed where it ended, and checked before it counts."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import BinaryIO, Final

from flagscale_workloads.download.errors import DownloadError, InterruptedDownloadError
from flagscale_workloads.download.hashing import Hashes
from flagscale_workloads.download.meter import Meter, size_text
from flagscale_workloads.download.patience import Patience
from flagscale_workloads.download.remote import RemoteFile, Source, Stream

PARTIAL: Final = ".partial"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Transfer:
    """How every file of one model is fetched."""

    source: Source
    meter: Meter
    patience: Patience
    max_bytes: int
    stop: Event = field(default_factory=Event)
    """Set once one file has failed: the others end."""

    def fetch(self, file: RemoteFile, target: Path) -> tuple[int, str]:
        """Size and SHA-256 of the file, which then is at `target`. Raises DownloadError."""
        with writing(self.source.where):
            target.parent.mkdir(parents=True, exist_ok=True)
            if found := self._checked(file, target):
                self.meter.kept(found[0])
                return found
            hashes = self._fill(file, target.with_name(f"{target.name}{PARTIAL}"))
            self._accept(file, hashes, target)
            return hashes.count, hashes.sha256

    def _checked(self, file: RemoteFile, target: Path) -> tuple[int, str] | None:
        """What is there already, if it is right."""
        if not target.exists():
            return None
        hashes = Hashes(file)
        hashes.read(target)
        if hashes.mismatch() or file.size not in (None, hashes.count):
            target.unlink()
            return None
        return hashes.count, hashes.sha256

    def _fill(self, file: RemoteFile, partial: Path) -> Hashes:
        hashes = Hashes(file)
        with partial.open("a+b", buffering=0) as out:
            if file.size is not None and out.tell() > file.size:
                out.truncate(0)
            hashes.read(partial)
            self.meter.kept(hashes.count)
            writer = _Writer(file, out, hashes)
            self.patience.run(lambda: self._append(writer), lambda: writer.hashes.count)
            os.fsync(out.fileno())
        return writer.hashes

    def _append(self, writer: "_Writer") -> None:
        """Until the end of the file."""
        file = writer.file
        if file.size is not None and writer.hashes.count == file.size:
            return
        with self.source.read(file, writer.hashes.count) as stream:
            if stream.offset != writer.hashes.count:
                self.meter.kept(-writer.hashes.count)
                writer.restart(stream)
            if file.size is None and stream.size is not None:
                self._check_late(stream.size, writer)
            for block in stream.blocks:
                writer.write(block)
                self.meter.add(len(block))
                if self.meter.done > self.max_bytes:
                    raise self._too_large(self.meter.done)
                if self.stop.is_set():
                    raise DownloadError("ModelDownloadFailed", "another file failed")
        if file.size is not None and writer.hashes.count < file.size:
            msg = f"{file.name} ended after {writer.hashes.count} of {file.size} bytes"
            raise InterruptedDownloadError(msg)

    def _check_late(self, size: int, writer: "_Writer") -> None:
        """What was not known when the file was listed."""
        self.meter.expect(size)
        if size > self.max_bytes:
            raise self._too_large(size)
        check_room(self.source.where, size - writer.hashes.count, writer.folder)

    def _too_large(self, size: int) -> DownloadError:
        return too_large(self.source.where, size, self.max_bytes)

    def _accept(self, file: RemoteFile, hashes: Hashes, target: Path) -> None:
        partial = target.with_name(f"{target.name}{PARTIAL}")
        wrong = hashes.mismatch()
        if wrong or file.size not in (None, hashes.count):
            partial.unlink()
            told = f"{hashes.count} bytes instead of {file.size}"
            if wrong:
                told = f"{wrong[0].algorithm} {wrong[1]} instead of {wrong[0].value}"
            msg = f"{self.source.where}: {file.name} has another digest, got {told}; "
            remedy = "correct spec.model.sha256, or the file at its source"
            raise DownloadError("ModelDigestMismatch", msg + remedy)
        partial.replace(target)


class _Writer:
    """The partial file and its hashes, which always agree."""

    def __init__(self, file: RemoteFile, out: BinaryIO, hashes: Hashes) -> None:
        self.file = file
        self.hashes = hashes
        self.folder = Path(out.name).parent
        self._out = out

    def restart(self, stream: Stream) -> None:
        """The source gives the file from its beginning."""
        if stream.offset:
            raise InterruptedDownloadError(f"answered from byte {stream.offset} on")
        self._out.truncate(0)
        self.hashes = Hashes(self.file)

    def write(self, block: bytes) -> None:
        """Append; a raw file may take less than all of it."""
        left = memoryview(block)
        while left:
            left = left[self._out.write(left) :]
        self.hashes.update(block)


def too_large(where: str, size: int, limit: int) -> DownloadError:
    """The download is over its limit."""
    msg = f"{where}: is too large, got {size_text(size)}; at most {size_text(limit)} are taken, "
    return DownloadError("ModelTooLarge", f"{msg}raise spec.model.maxDownloadBytes")


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Tell a full disk as what it is. Raises DownloadError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(where, f"{error.strerror}") from error
        msg = f"{where}: can't be written ({error.strerror or error}); check the claim's access"
        raise DownloadError("ModelDownloadFailed", msg) from error


def check_room(where: str, needed: int, folder: Path) -> None:
    """Raise DownloadError when the disk of a folder has fewer free bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise disk_full(where, f"{size_text(needed)} are needed, {size_text(free)} are free")


def disk_full(where: str, told: str) -> DownloadError:
    """No space is left."""
    msg = (
        f"{where}: does not fit on the disk ({told}); free or enlarge the claim of "
        "spec.model.cache, or the node's disk where there is none"
    )
    return DownloadError("ModelDiskFull", msg)

"""A model's folder: filled beside its place under a lock, and renamed there when it is whole."""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flagscale_workloads.download.archive import unpack
from flagscale_workloads.download.meter import size_text
from flagscale_workloads.download.policy import choose, is_archive, is_safe
from flagscale_workloads.download.remote import Listing, RemoteFile
from flagscale_workloads.download.transfer import (
    PARTIAL,
    Transfer,
    check_room,
    too_large,
    writing,
)
from flagscale_workloads.train.durable import digest_of, sha256, sync, write_text

RECEIPT: Final = ".flagscale-download.json"
PARALLEL: Final = 4
Files = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What lies in a finished folder."""

    files: Files
    digest: str
    revision: str | None

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(entry["size"] for entry in self.files.values())


def obtain(
    transfer: Transfer, folder: Path, *, file: str | None, tell: Callable[[str], None]
) -> Receipt:
    """Bring the model into its folder, unless it is there. Raises DownloadError.

    A process may die at any moment: what is at `folder` is whole, and what is beside it is taken up
    again or thrown away by the next one.
    """
    with writing(str(folder)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder, tell):
            work = folder.with_name(f".{folder.name}{PARTIAL}")
            if receipt := read_receipt(folder):
                shutil.rmtree(work, ignore_errors=True)
                tell(f"is here already: {len(receipt.files)} files, {size_text(receipt.size)}")
                return receipt
            shutil.rmtree(folder, ignore_errors=True)
            listing = transfer.patience.run(transfer.source.list, lambda: 0)
            found = _fill(transfer, work, listing, file, tell)
            receipt = Receipt(found, digest_of(found), listing.revision)
            _publish(work / "files", folder, receipt)
            shutil.rmtree(work, ignore_errors=True)
            return receipt


def read_receipt(folder: Path) -> Receipt | None:
    """What a finished folder holds; None when it is absent or files of it are missing."""
    try:
        told = json.loads((folder / RECEIPT).read_text())
        receipt = Receipt(told["files"], told["digest"], told["revision"])
        sizes = all(
            (folder / name).stat().st_size == entry["size"] for name, entry in told["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return receipt if sizes else None


@contextmanager
def _only_one(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """One process at a time, of all pods that share the claim; the kernel frees a dead one's."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another pod downloads this model; waits for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(
    transfer: Transfer,
    work: Path,
    listing: Listing,
    file: str | None,
    tell: Callable[[str], None],
) -> Files:
    """All wanted files, in work/files."""
    where = transfer.source.where
    packed = [f for f in listing.files if is_archive(f.name)]
    if len(listing.files) == 1 and packed:
        chosen = packed
    else:
        chosen = choose(listing.files, file, where=where)
        _tell_left_out(listing.files, tell)
    content = work / ("archive" if packed == chosen else "files")
    _keep_only(work, content, chosen)
    _check_room(transfer, content, chosen)
    sizes = [f.size for f in chosen]
    transfer.meter.begin(None if None in sizes else sum(s or 0 for s in sizes))
    found = _fetch_all(transfer, content, chosen)
    transfer.meter.close()
    if packed != chosen:
        return found
    return _unpack(transfer, content / packed[0].name, work / "files", file)


def _fetch_all(transfer: Transfer, content: Path, chosen: list[RemoteFile]) -> Files:
    with ThreadPoolExecutor(PARALLEL) as threads:
        fetched = {f.name: threads.submit(transfer.fetch, f, content / f.name) for f in chosen}
        done, _ = wait(fetched.values(), return_when=FIRST_EXCEPTION)
        if failed := [future for future in done if future.exception()]:
            transfer.stop.set()
            threads.shutdown(wait=False, cancel_futures=True)
            failed[0].result()
    sizes = {name: future.result() for name, future in fetched.items()}
    return {name: {"size": size, "sha256": digest} for name, (size, digest) in sizes.items()}


def _unpack(transfer: Transfer, archive: Path, folder: Path, file: str | None) -> Files:
    where = transfer.source.where
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    names = unpack(archive, folder, where=where, max_bytes=transfer.max_bytes)
    kept = {f.name for f in choose([RemoteFile(n, None, None) for n in names], file, where=where)}
    for left_out in set(filter(is_safe, names)) - kept:
        (folder / left_out).unlink()
    paths = {name: folder / name for name in sorted(kept)}
    return {n: {"size": p.stat().st_size, "sha256": sha256(p)} for n, p in paths.items()}


def _keep_only(work: Path, content: Path, chosen: list[RemoteFile]) -> None:
    """Throw away what an earlier run left of files that are not, or no longer, these."""
    plan = json.dumps({f.name: [f.size, f.version, str(f.digest)] for f in chosen}, sort_keys=True)
    noted = work / "plan.json"
    before = json.loads(noted.read_text()) if noted.exists() else {}
    now = json.loads(plan)
    same = {name for name, entry in now.items() if before.get(name) == entry}
    content.mkdir(parents=True, exist_ok=True)
    for path in [p for p in content.rglob("*") if p.is_file()]:
        if path.relative_to(content).as_posix().removesuffix(PARTIAL) not in same:
            path.unlink()
    write_text(noted, plan)


def _check_room(transfer: Transfer, content: Path, chosen: list[RemoteFile]) -> None:
    total = sum(f.size or 0 for f in chosen)
    if total > transfer.max_bytes:
        raise too_large(transfer.source.where, total, transfer.max_bytes)
    there = sum(p.stat().st_size for p in content.rglob("*") if p.is_file())
    check_room(transfer.source.where, total - there, content)


def _publish(filled: Path, folder: Path, receipt: Receipt) -> None:
    told = {"files": receipt.files, "digest": receipt.digest, "revision": receipt.revision}
    write_text(filled / RECEIPT, json.dumps(told, indent=2, sort_keys=True))
    for path in filled.rglob("*"):
        sync(path)
    sync(filled)
    filled.rename(folder)
    sync(folder.parent)


def _tell_left_out(files: tuple[RemoteFile, ...], tell: Callable[[str], None]) -> None:
    unsafe = sorted(f.name for f in files if not is_safe(f.name))
    if unsafe:
        more = ", ..." if len(unsafe) > 5 else ""
        tell(f"leaves out {len(unsafe)} files that are no data: {', '.join(unsafe[:5])}{more}")

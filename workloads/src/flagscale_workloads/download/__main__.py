"""`python -m flagscale_workloads.download`: the model of FLAGSCALE_DOWNLOAD, into its folder."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from flagscale_api.runtime.download import CONFIG_VARIABLE, DownloadConfig, DownloadOutcome
from flagscale_workloads.download.errors import DownloadError
from flagscale_workloads.download.meter import Meter, size_text
from flagscale_workloads.download.opening import open_source
from flagscale_workloads.download.patience import Patience
from flagscale_workloads.download.remote import Source
from flagscale_workloads.download.store import obtain
from flagscale_workloads.download.transfer import Transfer

TERMINATION_LOG: Final = "FLAGSCALE_TERMINATION_LOG"
"""Variable with the file for the outcome; unset: where Kubernetes has it."""
STOPPED: Final = 143


def read_config(environ: Mapping[str, str]) -> DownloadConfig:
    """What to download. Raises DownloadError."""
    try:
        return DownloadConfig.model_validate_json(environ.get(CONFIG_VARIABLE, ""))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        msg = f"{CONFIG_VARIABLE}: not valid ({told}); use images of one release"
        raise DownloadError("ModelDownloadFailed", msg) from error


def download(
    config: DownloadConfig, *, sleep: Callable[[float], None] = time.sleep
) -> DownloadOutcome:
    """Bring the model into its folder. Raises DownloadError."""
    with closing(open_source(config)) as source:
        return _download(config, source, Patience(source.where, tell=tell, sleep=sleep))


def _download(config: DownloadConfig, source: Source, patience: Patience) -> DownloadOutcome:
    transfer = Transfer(
        source=source,
        meter=Meter(tell),
        patience=patience,
        max_bytes=config.max_bytes,
    )
    tell(f"{source.where} into {config.folder}")
    receipt = obtain(transfer, Path(config.folder), file=config.file, tell=tell)
    count = len(receipt.files)
    message = f"{count} {'files' if count > 1 else 'file'}, {size_text(receipt.size)}"
    return DownloadOutcome(message=message, revision=receipt.revision, digest=receipt.digest)


def tell(line: str) -> None:
    """A line of the log."""
    print(f"download: {line}", file=sys.stderr, flush=True)


def _report(outcome: DownloadOutcome, log: Path) -> None:
    text = outcome.model_dump_json(by_alias=True, exclude_none=True)
    if log.exists():
        log.write_text(text)


def main(environ: Mapping[str, str]) -> int:
    """0: the model is there; 1: it is not, and one sentence says why."""
    # As the first process of a container there is no default action. Nothing has to be tidied up.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(STOPPED))
    try:
        outcome = download(read_config(environ))
    except DownloadError as error:
        outcome = DownloadOutcome(reason=error.reason, message=str(error))
        tell(f"{error.reason}: {error}")
    except Exception as error:  # noqa: BLE001 - its words might quote a secret, so its name alone
        msg = f"download: ended by {type(error).__name__}; report it with the source it was for"
        outcome = DownloadOutcome(reason="ModelDownloadFailed", message=msg)
        tell(msg)
    else:
        tell(f"done: {outcome.message}, {outcome.digest}")
    _report(outcome, Path(environ.get(TERMINATION_LOG, "/dev/termination-log")))
    return 1 if outcome.reason else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))

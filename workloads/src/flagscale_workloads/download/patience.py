"""Trying again, for as long as it may help."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from flagscale_workloads.download.errors import DownloadError, InterruptedDownloadError

TRIES: Final = 6
FIRST_DELAY_S: Final = 1.0
Result = TypeVar("Result")


class Patience:
    """Repeats what was interrupted, with longer and longer pauses: half a minute in all."""

    def __init__(
        self,
        where: str,
        *,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        tries: int = TRIES,
    ) -> None:
        self._where = where
        self._tell = tell
        self._sleep = sleep
        self._tries = tries

    def run(self, attempt: Callable[[], Result], progress: Callable[[], int]) -> Result:
        """The attempt's result; tries count anew whenever `progress` has grown.

        Raises:
            DownloadError: ModelSourceUnreachable, after all tries.
        """
        failed, before = 0, progress()
        while True:
            try:
                return attempt()
            except InterruptedDownloadError as error:
                failed = 1 if progress() > before else failed + 1
                before = progress()
                if failed >= self._tries:
                    msg = (
                        f"{self._where}: can't be reached ({error}); check the address, the "
                        "network and the server's certificate"
                    )
                    raise DownloadError("ModelSourceUnreachable", msg) from error
                self._tell(f"interrupted ({error}); tries again")
                self._sleep(FIRST_DELAY_S * 2 ** (failed - 1))

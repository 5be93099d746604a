"""Why a download ends, or has to be tried again."""

from flagscale_api.runtime.download import DownloadReason


class DownloadError(Exception):
    """It does not help to try again at once: a reason for the status and one sentence."""

    def __init__(self, reason: DownloadReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class InterruptedDownloadError(Exception):
    """The connection failed or the server is busy: worth another try."""

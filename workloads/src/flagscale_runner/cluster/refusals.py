"""What the API server refuses, as a sentence with a next step (pure)."""

from flagscale_operator.errors import ApiError, FlagScaleError
from flagscale_runner.base import NotAllowedError, RunnerError


def explained(error: FlagScaleError, server: str) -> RunnerError:
    """The sentence for a user at a terminal."""
    if not isinstance(error, ApiError):
        return RunnerError(f"cluster {server}: {error}; check the network and KUBECONFIG")
    if error.status == 401:
        return RunnerError(
            f"cluster {server}: your credentials are not accepted or have expired; log in again"
        )
    if error.status == 403:
        return NotAllowedError(
            f"cluster {server}: {error.message}; ask an administrator for a role that may "
            f"{error.verb} {error.resource}"
        )
    if error.reason == "KindNotFound":
        return RunnerError(
            f"cluster {server}: {error.resource} are not installed; install the charts "
            "flagscale-crds and flagscale"
        )
    if error.status == 422 or error.status == 400:
        return RunnerError("; ".join(error.causes) or error.message)
    return RunnerError(f"cluster {server}: {error.message}")

"""Errors whose class decides what happens next (rule: the type carries the retry policy)."""

from dataclasses import dataclass, field


class FlagScaleError(Exception):
    """Base of all errors that the operator raises on purpose."""


@dataclass
class InvalidSpecError(FlagScaleError):
    """The object can't work as written: a condition, and no retry until it changes."""

    message: str
    reason: str = "InvalidSpec"

    def __str__(self) -> str:
        """The sentence for the object's owner."""
        return self.message


@dataclass
class TransientError(FlagScaleError):
    """May go through later: retried with back-off, or after `retry_after_s`."""

    message: str
    retry_after_s: float | None = None

    def __str__(self) -> str:
        """The sentence for the log."""
        return self.message


@dataclass
class ApiError(FlagScaleError):
    """The API server refused a request."""

    status: int
    reason: str
    message: str
    verb: str
    resource: str
    retry_after_s: float | None = None
    causes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """Verb, resource, code and the server's own words."""
        return f"{self.verb} {self.resource}: {self.status} {self.reason}: {self.message}"

    @property
    def not_found(self) -> bool:
        """True for 404 (the object, or its whole kind)."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """True for 409: already exists, wrong resourceVersion, or a field owned by another."""
        return self.status == 409

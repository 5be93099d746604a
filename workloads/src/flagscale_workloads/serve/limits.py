"""Limits of one client: rates by token bucket, and requests at the same time."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from flagscale_api.runtime.serve import ApiKey
from flagscale_workloads.serve.http.messages import Headers, HttpError
from flagscale_workloads.serve.token_bucket import TokenBucket


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Name and limits of an API key, without the key."""

    name: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyLimits":
        """What a keys file says of one client."""
        return cls(key.name, key.requests_per_minute, key.tokens_per_minute, key.concurrency)


class Client:
    """One API key with its buckets; a request is admitted whole or not at all."""

    def __init__(self, limits: KeyLimits, now: Callable[[], float]) -> None:
        self.limits = limits
        self.running = 0
        self._requests = _bucket(limits.requests_per_minute, now)
        self._tokens = _bucket(limits.tokens_per_minute, now)

    @property
    def name(self) -> str:
        """Name in metrics and logs."""
        return self.limits.name

    def enter(self) -> None:
        """Count a request in. Raises HttpError 429 naming the limit; then nothing was counted."""
        limit = self.limits.concurrency
        if limit is not None and self.running >= limit:
            raise self._refusal("concurrency", f"{limit} requests at the same time", 1)
        # A late charge leaves the bucket below zero; one token must be there.
        for bucket, unit in ((self._requests, "requests"), (self._tokens, "tokens")):
            if bucket is None:
                continue
            bucket.refill()
            if wait_s := bucket.wait_s(1):
                raise self._refusal(unit, f"{bucket.per_minute} {unit} per minute", ceil(wait_s))
        if self._requests:
            self._requests.take(1)
        self.running += 1

    def leave(self, tokens: int) -> None:
        """Count the request out and charge the tokens that it used."""
        self.running -= 1
        if self._tokens:
            self._tokens.take(tokens)

    def headers(self) -> Headers:
        """OpenAI's rate-limit headers."""
        headers: list[tuple[bytes, bytes]] = []
        for bucket, unit in ((self._requests, b"requests"), (self._tokens, b"tokens")):
            if bucket:
                remaining = max(0, int(bucket.level))
                headers += [
                    (b"x-ratelimit-limit-" + unit, b"%d" % bucket.per_minute),
                    (b"x-ratelimit-remaining-" + unit, b"%d" % remaining),
                ]
        return tuple(headers)

    def _refusal(self, what: str, limit: str, retry_after_s: int) -> HttpError:
        return HttpError(
            429,
            "rate_limit_exceeded",
            f"API key {self.name}: {what} over the limit of {limit}; wait {retry_after_s} s",
            headers=((b"retry-after", b"%d" % retry_after_s), *self.headers()),
        )


def _bucket(per_minute: int | None, now: Callable[[], float]) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute, now)

"""Who asks: a service account's token, reviewed by the API server."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.expiring import Expiring
from flagscale_workloads.agent.service.kube.api import Body, KubeApi, KubeError

REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
TOKEN_BYTES: Final = 16 * 1024
CAPACITY: Final = 10_000
REFUSED_TTL_S: Final = 10.0
_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """As Kubernetes knows it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, list[str]] = field(default_factory=dict, hash=False, compare=False)


LOCAL: Final = Caller("local")
"""Whoever asks on this machine, where nobody is asked for a token."""


class Authenticator(Protocol):
    """From an Authorization header to a caller."""

    async def caller(self, authorization: str | None) -> Caller:
        """Who it is. Raises ServiceError 401 or 503."""


class Anyone:
    """For loopback alone: everybody is `LOCAL`."""

    async def caller(self, authorization: str | None) -> Caller:
        """Always `LOCAL`."""
        return LOCAL


class TokenReviews:
    """Tokens that were made for `audience`; answers are kept for `ttl_s`."""

    def __init__(
        self, api: KubeApi, *, audience: str, ttl_s: float, clock: Callable[[], float]
    ) -> None:
        self._api = api
        self._audience = audience
        self._known: Expiring[bytes, Caller] = Expiring(ttl_s=ttl_s, capacity=CAPACITY, clock=clock)
        # Apart from the good ones, so that a flood of bad tokens can't push those out.
        self._refused: Expiring[bytes, str] = Expiring(
            ttl_s=REFUSED_TTL_S, capacity=CAPACITY, clock=clock
        )

    async def caller(self, authorization: str | None) -> Caller:
        """See `Authenticator.caller`."""
        header = authorization or ""
        token = header[len(_BEARER) :].strip()
        if header[: len(_BEARER)].lower() != _BEARER or not 0 < len(token) <= TOKEN_BYTES:
            raise self._refusal("missing")
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is not None:
            return known
        refused = self._refused.get(key)
        if refused is not None:
            raise self._refusal(refused)
        status = await self._review(token)
        if not status.get("authenticated") or self._audience not in status.get("audiences", ()):
            self._refused.put(key, "not valid")
            raise self._refusal("not valid")
        caller = _caller(status.get("user") or {})
        self._known.put(key, caller)
        return caller

    async def _review(self, token: str) -> Body:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            answer = await self._api.create(REVIEWS, review)
        except KubeError as error:
            message = "token: could not be reviewed by the API server; try again"
            raise ServiceError(503, "not_reviewed", message, retry_after_s=2) from error
        status: Body = answer.get("status") or {}
        return status

    def _refusal(self, what: str) -> ServiceError:
        message = (
            f"token: {what}; send Authorization: Bearer <token of a service account with "
            f"audience {self._audience}>"
        )
        return ServiceError(401, "unauthenticated", message)


def _caller(user: Mapping[str, Any]) -> Caller:
    return Caller(
        name=str(user.get("username", "")),
        groups=tuple(map(str, user.get("groups") or ())),
        uid=str(user.get("uid", "")),
        extra={str(k): list(v) for k, v in (user.get("extra") or {}).items()},
    )

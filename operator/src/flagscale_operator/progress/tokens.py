"""Who posts: a pod's projected token, reviewed by the API server, bound to a job's attempt.

A token is made for one job (its audience), names its pod, and dies with it. So a pod can report for
its own job only, whatever URL it posts to.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from flagscale_api import keys
from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kinds.train_job.pod import audience
from flagscale_operator.kube.client import Kube, Manifest
from flagscale_operator.kube.kinds import POD, TOKEN_REVIEW
from flagscale_operator.progress.expiring import Expiring
from flagscale_operator.progress.protocol import Refused

TTL_S = 60.0
REFUSED_TTL_S = 10.0
CAPACITY = 20_000
REVIEWS_AT_ONCE = 16
REVIEWS_WAITING = 256
TOKEN_LIMIT = 16 * 1024
_EXTRA = "authentication.kubernetes.io/pod-"


class Pods(Protocol):
    """The pods that a watch brought, by namespace and name."""

    def get(self, key: tuple[str, str]) -> Manifest | None:
        """The newest body."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The pod that a token was made for."""

    namespace: str
    name: str
    uid: str


class TokenChecker:
    """Answers which attempt of a job the holder of a token belongs to."""

    def __init__(
        self,
        kube: Kube,
        *,
        pods: Pods,
        clock: Callable[[], float] | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        clock = clock or asyncio.get_running_loop().time
        self._kube = kube
        self._pods = pods
        self._known: Expiring[bytes, PodIdentity] = Expiring(
            ttl_s=TTL_S, capacity=capacity, clock=clock
        )
        # Apart from the good ones, so that a flood of bad tokens can't push those out.
        self._refused: Expiring[bytes, str] = Expiring(
            ttl_s=REFUSED_TTL_S, capacity=capacity, clock=clock
        )
        self._fetched: Expiring[PodIdentity, Manifest] = Expiring(
            ttl_s=TTL_S, capacity=capacity, clock=clock
        )
        self._turns = asyncio.Semaphore(REVIEWS_AT_ONCE)
        self._waiting = 0

    async def labels_of(
        self, token: str, *, wanted: str, namespace: str
    ) -> tuple[PodIdentity, dict[str, str]]:
        """The pod that a token of that audience was made for, and its labels.

        Raises:
            Refused: 401 for a token that is not good for this audience; 403 when its pod is in
                another namespace; 429 when too many unknown tokens wait for their review.
        """
        pod = await self._identify(token, wanted)
        if pod.namespace != namespace:
            raise Refused(403, f"pod: is in another namespace, got {pod.namespace}/{pod.name}")
        body = await self._body(pod)
        return pod, (body["metadata"].get("labels") or {}) if body else {}

    async def attempt_of(self, token: str, *, namespace: str, name: str) -> int:
        """The number of the attempt that the token's pod belongs to.

        Raises:
            Refused: as `labels_of`; 403 when the pod is not one of the job's.
        """
        wanted = audience(namespace, name)
        pod, labels = await self.labels_of(token, wanted=wanted, namespace=namespace)
        attempt = labels.get(keys.ATTEMPT_LABEL, "")
        if labels.get(keys.TRAIN_JOB_LABEL) != name or not attempt.isdigit():
            raise Refused(403, f"pod: is none of TrainJob {namespace}/{name}, got {pod.name}")
        return int(attempt)

    async def _identify(self, token: str, wanted: str) -> PodIdentity:
        if not token or len(token) > TOKEN_LIMIT:
            raise Refused(401, "Authorization: no bearer token; send the projected one")
        key = hashlib.sha256(f"{wanted}\n{token}".encode()).digest()
        pod = self._known.get(key)
        if pod is not None:
            return pod
        refusal = self._refused.get(key)
        if refusal is not None:
            raise Refused(401, refusal)
        try:
            pod = _pod_of(await self._review(token, wanted), wanted)
        except Refused as error:
            if error.status == 401:
                self._refused.put(key, error.message)
            raise
        self._known.put(key, pod)
        return pod

    async def _review(self, token: str, wanted: str) -> dict[str, Any]:
        if self._waiting >= REVIEWS_WAITING:
            raise Refused(429, "tokens: too many wait for review; try again", retry_after_s=1)
        review = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "metadata": {},
            "spec": {"token": token, "audiences": [wanted]},
        }
        self._waiting += 1
        try:
            async with self._turns:
                answer = await self._kube.create(TOKEN_REVIEW, review)
        except (ApiError, TransientError) as error:
            msg = "TokenReview: the API server did not review the token; try again"
            raise Refused(503, msg, retry_after_s=5) from error
        finally:
            self._waiting -= 1
        return answer.get("status") or {}

    async def _body(self, pod: PodIdentity) -> Manifest | None:
        """The pod from the watch, or from the API when the watch has not brought it yet."""
        body = self._pods.get((pod.namespace, pod.name)) or self._fetched.get(pod)
        if _is(body, pod):
            return body
        try:
            body = await self._kube.get(POD, pod.namespace, pod.name)
        except (ApiError, TransientError) as error:
            raise Refused(503, "pod: could not be read; try again", retry_after_s=5) from error
        if body is None or not _is(body, pod):
            return None
        metadata = body["metadata"]
        kept = {"metadata": {k: metadata[k] for k in ("uid", "labels") if k in metadata}}
        self._fetched.put(pod, kept)
        return kept


def _is(body: Manifest | None, pod: PodIdentity) -> bool:
    return body is not None and body["metadata"].get("uid") == pod.uid


def _pod_of(status: dict[str, Any], wanted: str) -> PodIdentity:
    if not status.get("authenticated") or wanted not in (status.get("audiences") or ()):
        raise Refused(401, f"token: is not good for this job; request audience {wanted}")
    user = status.get("user") or {}
    kind, _, rest = str(user.get("username", "")).partition("serviceaccount:")
    extra = user.get("extra") or {}
    name, uid = (extra.get(f"{_EXTRA}{part}") or [""] for part in ("name", "uid"))
    if kind != "system:" or not name[0] or not uid[0]:
        raise Refused(401, "token: is not bound to a pod; send the pod's projected one")
    return PodIdentity(namespace=rest.partition(":")[0], name=name[0], uid=uid[0])

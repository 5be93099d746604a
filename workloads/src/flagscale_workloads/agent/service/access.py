"""What a caller may see and call: the cluster's own RBAC, asked by SubjectAccessReview."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from flagscale_api import keys
from flagscale_workloads.agent.service.callers import Caller
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.expiring import Expiring
from flagscale_workloads.agent.service.kube.api import KubeApi, KubeError

ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RESOURCE: Final = "agenttools"
CAPACITY: Final = 50_000
AT_ONCE: Final = 16
NAMED_TOOLS: Final = 100
"""Tools of one namespace that are asked for by name where the namespace as a whole is refused."""


@dataclass(frozen=True, slots=True)
class Visible:
    """What may be seen: everything, or whole namespaces and tools by `namespace/name`."""

    everything: bool = False
    namespaces: frozenset[str] = frozenset()
    tools: frozenset[tuple[str, str]] = frozenset()

    def includes(self, namespace: str, name: str) -> bool:
        """Whether it has this tool."""
        return self.everything or namespace in self.namespaces or (namespace, name) in self.tools


class Access(Protocol):
    """Answers what a caller may do. Both raise ServiceError 503."""

    async def visible(self, caller: Caller, names: Mapping[str, Collection[str]]) -> Visible:
        """Which of these tools, by namespace, the caller may see."""

    async def may(self, caller: Caller, verb: str, namespace: str, name: str) -> bool:
        """Whether the caller may `get` or `call` one tool."""


class Everything:
    """For loopback alone."""

    async def visible(self, caller: Caller, names: Mapping[str, Collection[str]]) -> Visible:
        """All of it."""
        return Visible(everything=True)

    async def may(self, caller: Caller, verb: str, namespace: str, name: str) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Question:
    """May this caller do that? Empty: any name, any namespace."""

    caller: Caller
    verb: str
    namespace: str
    name: str


class AccessReviews:
    """Who may `get` an AgentTool finds it; who may `create` its `agenttools/call` calls it."""

    def __init__(self, api: KubeApi, *, ttl_s: float, clock: Callable[[], float]) -> None:
        self._api = api
        self._answers: Expiring[Question, bool] = Expiring(
            ttl_s=ttl_s, capacity=CAPACITY, clock=clock
        )
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def visible(self, caller: Caller, names: Mapping[str, Collection[str]]) -> Visible:
        """First everything, then namespaces, then single tools of the others."""
        if await self.may(caller, "get", "", ""):
            return Visible(everything=True)
        # Names may change while the API server is asked.
        known = {namespace: sorted(own)[:NAMED_TOOLS] for namespace, own in names.items()}
        answers = await asyncio.gather(*(self.may(caller, "get", own, "") for own in known))
        whole = frozenset(own for own, yes in zip(known, answers, strict=True) if yes)
        single = [(own, name) for own in known if own not in whole for name in known[own]]
        answers = await asyncio.gather(*(self.may(caller, "get", *one) for one in single))
        tools = frozenset(one for one, yes in zip(single, answers, strict=True) if yes)
        return Visible(namespaces=whole, tools=tools)

    async def may(self, caller: Caller, verb: str, namespace: str, name: str) -> bool:
        """By the API server; no name asks for the whole namespace, no namespace for all."""
        question = Question(caller, verb, namespace, name)
        known = self._answers.get(question)
        if known is None:
            known = await self._ask(question)
            self._answers.put(question, known)
        return known

    async def _ask(self, question: Question) -> bool:
        async with self._turns:
            try:
                answer = await self._api.create(ACCESS_REVIEWS, review(question))
            except KubeError as error:
                message = "access: could not be reviewed by the API server; try again"
                raise ServiceError(503, "not_reviewed", message, retry_after_s=2) from error
        return bool((answer.get("status") or {}).get("allowed"))


def review(question: Question) -> dict[str, object]:
    """The SubjectAccessReview of one question (pure)."""
    calls = question.verb == "call"
    what = {
        "group": keys.GROUP,
        "version": keys.VERSION,
        "resource": RESOURCE,
        "subresource": "call" if calls else "",
        "verb": "create" if calls else question.verb,
        "namespace": question.namespace,
        "name": question.name,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": question.caller.name,
            "groups": list(question.caller.groups),
            "uid": question.caller.uid,
            "extra": dict(question.caller.extra),
            "resourceAttributes": {key: value for key, value in what.items() if value},
        },
    }

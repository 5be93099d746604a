"""All AgentTools that are known, and what of them is in the index."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flagscale_workloads.agent.service.entries import Entry, UnusableError, Version, entry_of
from flagscale_workloads.agent.service.kube.api import Body
from flagscale_workloads.agent.tool_match.tool import Tool

_log = logging.getLogger(__name__)
Id = tuple[str, str]


class Index(Protocol):
    """What takes the tools."""

    def put(self, tool: Tool, version: Version) -> None:
        """A tool came or changed."""

    def remove(self, key: str) -> None:
        """A tool is gone."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an object can't be found."""

    version: Version
    message: str


class Catalogue:
    """Takes objects from a watch or from files. Of equal keys the oldest object has the tool."""

    def __init__(self, index: Index, *, judged: bool) -> None:
        self._index = index
        self._judged = judged
        self._entries: dict[Id, Entry] = {}
        self._owners: dict[str, list[Entry]] = {}
        self._names: dict[str, set[str]] = {}
        self._problems: dict[Id, Problem] = {}
        self._shared: frozenset[Id] | None = frozenset()

    def get(self, namespace: str, name: str) -> Entry | None:
        """By its name."""
        return self._entries.get((namespace, name))

    def of_key(self, key: str) -> Entry | None:
        """The entry that has a tool of the index."""
        owners = self._owners.get(key)
        return owners[0] if owners else None

    def entries(self) -> Collection[Entry]:
        """All of them."""
        return self._entries.values()

    def names(self) -> Mapping[str, Collection[str]]:
        """Names by namespace."""
        return self._names

    def shared(self) -> frozenset[Id]:
        """What every authenticated caller may see."""
        if self._shared is None:
            self._shared = frozenset(own for own, one in self._entries.items() if one.shared)
        return self._shared

    def keys(self, ids: Iterable[Id]) -> frozenset[str]:
        """Keys in the index of some of them."""
        return frozenset(self._entries[one].tool.key for one in ids if one in self._entries)

    def problems(self) -> Collection[Problem]:
        """Of objects that can't be found."""
        return self._problems.values()

    def replace(self, objects: Sequence[Body], *, namespace: str = "") -> None:
        """See `Sink`; with a namespace, they are all that there are in it."""
        ids = {_id(body) for body in objects}
        for gone in [one for one in (*self._entries, *self._problems) if one not in ids]:
            if namespace in {"", gone[0]}:
                self._drop(gone)
        for body in objects:
            self.put(body)

    def put(self, body: Body) -> None:
        """See `Sink`."""
        own = _id(body)
        try:
            entry = entry_of(body, judged=self._judged)
        except UnusableError as error:
            _log.warning("AgentTool %s/%s: %s", *own, error)
            self._drop(own)
            self._problems[own] = Problem(_version(body), str(error))
            return
        before = self._entries.get(own)
        if before == entry:
            return
        if before and before.tool.key != entry.tool.key:
            self._drop(own)
        if entry.shared != (before is not None and before.shared):
            self._shared = None
        self._problems.pop(own, None)
        self._entries[own] = entry
        self._names.setdefault(own[0], set()).add(own[1])
        self._own(entry.tool.key, [*self._others(entry.tool.key, own), entry])

    def remove(self, body: Body) -> None:
        """See `Sink`."""
        self._drop(_id(body))

    def _drop(self, own: Id) -> None:
        self._problems.pop(own, None)
        entry = self._entries.pop(own, None)
        if entry is None:
            return
        self._shared = None
        self._names[own[0]].discard(own[1])
        if not self._names[own[0]]:
            del self._names[own[0]]
        self._own(entry.tool.key, self._others(entry.tool.key, own))

    def _others(self, key: str, own: Id) -> list[Entry]:
        return [one for one in self._owners.get(key, ()) if (one.namespace, one.name) != own]

    def _own(self, key: str, owners: list[Entry]) -> None:
        """Tell the index who has a key now."""
        before = self.of_key(key)
        owners.sort(key=lambda one: (one.created, one.name))
        for late in owners[1:]:
            why = f"name: is that of AgentTool {owners[0].name}, too, which is older; rename it"
            self._problems[late.namespace, late.name] = Problem(late.version, why)
        if not owners:
            self._owners.pop(key, None)
            self._index.remove(key)
            return
        self._owners[key] = owners
        self._problems.pop((owners[0].namespace, owners[0].name), None)
        if owners[0] is not before:
            self._index.put(owners[0].tool, owners[0].version)


@dataclass(frozen=True, slots=True)
class NamespaceSink:
    """What a watch of one namespace fills; empty: of all."""

    catalogue: Catalogue
    namespace: str

    def replace(self, objects: Sequence[Body]) -> None:
        """See `Sink`."""
        self.catalogue.replace(objects, namespace=self.namespace)

    def put(self, body: Body) -> None:
        """See `Sink`."""
        self.catalogue.put(body)

    def remove(self, body: Body) -> None:
        """See `Sink`."""
        self.catalogue.remove(body)


def _version(body: Body) -> Version:
    metadata = body.get("metadata") or {}
    return str(metadata.get("uid", "")), int(metadata.get("generation") or 1)


def _id(body: Body) -> Id:
    metadata = body.get("metadata") or {}
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))

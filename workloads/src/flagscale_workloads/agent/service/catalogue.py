"""All AgentTools that are known, and what of them is in the index."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from flagscale_workloads.agent.service.entries import Entry, UnusableError, entry_of
from flagscale_workloads.agent.service.kube.api import Body
from flagscale_workloads.agent.tool_match.tool import Tool

_log = logging.getLogger(__name__)
Id = tuple[str, str]


class Index(Protocol):
    """What takes the tools."""

    def put(self, tool: Tool, generation: int) -> None:
        """A tool came or changed."""

    def remove(self, key: str) -> None:
        """A tool is gone."""


class Catalogue:
    """Takes objects from a watch or from files. Of equal keys the oldest object has the tool."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._entries: dict[Id, Entry] = {}
        self._owners: dict[str, list[Entry]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self.problems: dict[Id, str] = {}
        """Objects that can't be found, and why."""

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

    def names(self) -> Mapping[str, frozenset[str]]:
        """Names by namespace."""
        return self._names

    def keys(self, ids: Iterable[Id]) -> frozenset[str]:
        """Keys in the index of some of them."""
        return frozenset(self._entries[one].tool.key for one in ids if one in self._entries)

    def replace(self, objects: Sequence[Body]) -> None:
        """See `Sink`."""
        ids = {_id(body) for body in objects}
        for gone in [one for one in (*self._entries, *self.problems) if one not in ids]:
            self._drop(gone)
        for body in objects:
            self.put(body)

    def put(self, body: Body) -> None:
        """See `Sink`."""
        own = _id(body)
        try:
            entry = entry_of(body)
        except UnusableError as error:
            _log.warning("AgentTool %s/%s: %s", *own, error)
            self._drop(own)
            self.problems[own] = str(error)
            return
        before = self._entries.get(own)
        if before == entry:
            return
        if before and before.tool.key != entry.tool.key:
            self._drop(own)
        self.problems.pop(own, None)
        self._entries[own] = entry
        if before is None or own[1] not in self._names.get(own[0], ()):
            self._names[own[0]] = self._names.get(own[0], frozenset()) | {own[1]}
        others = [one for one in self._owners.get(entry.tool.key, ()) if not _same(one, own)]
        self._own(entry.tool.key, [*others, entry])

    def remove(self, body: Body) -> None:
        """See `Sink`."""
        self._drop(_id(body))

    def _drop(self, own: Id) -> None:
        self.problems.pop(own, None)
        entry = self._entries.pop(own, None)
        if entry is None:
            return
        self._names[own[0]] -= {own[1]}
        if not self._names[own[0]]:
            del self._names[own[0]]
        rest = [one for one in self._owners.get(entry.tool.key, ()) if not _same(one, own)]
        self._own(entry.tool.key, rest)

    def _own(self, key: str, owners: list[Entry]) -> None:
        """Tell the index who has a key now."""
        before = self.of_key(key)
        owners.sort(key=lambda one: (one.created, one.name))
        for late in owners[1:]:
            problem = f"duplicate of {owners[0].namespace}/{owners[0].name}; rename one of them"
            self.problems[late.namespace, late.name] = problem
        if not owners:
            self._owners.pop(key, None)
            self._index.remove(key)
            return
        self._owners[key] = owners
        self.problems.pop((owners[0].namespace, owners[0].name), None)
        if owners[0] is not before:
            self._index.put(owners[0].tool, owners[0].generation)


def _same(entry: Entry, own: Id) -> bool:
    return (entry.namespace, entry.name) == own


def _id(body: Body) -> Id:
    metadata = body.get("metadata") or {}
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))

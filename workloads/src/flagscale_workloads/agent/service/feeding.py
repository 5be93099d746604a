"""Changes of tools into the index, without a wait for vectors."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from flagscale_workloads.agent.service.entries import Version
from flagscale_workloads.agent.service.long_lived import LongLived
from flagscale_workloads.agent.tool_match.matcher import ToolMatcher
from flagscale_workloads.agent.tool_match.tool import Tool

_log = logging.getLogger(__name__)
SLOW_ARMS: Final = frozenset({"dense"})
EMBED_PAUSE_S: Final = 0.5
LEARN_PAUSE_S: Final = 2.0
NOTHING: Final[Version] = ("", 0)
Pending = dict[str, tuple[Tool | None, Version]]


class Feeder:
    """Two threads: one applies changes as they come, one embeds what is new.

    So a removed tool is out of results as soon as its removal is seen, however much waits to be
    embedded, and a new one is found by words and static vectors at once.
    """

    def __init__(self, matcher: ToolMatcher, *, on_applied: Callable[[], None]) -> None:
        self._matcher = matcher
        self._on_applied = on_applied
        self._pending: Pending = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._lacking = threading.Event()
        self._stopping = threading.Event()
        self._applied: Mapping[str, Version] = {}
        self._long_lived = LongLived()
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._apply, "index"), (self._embed, "embed"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def applied(self) -> Mapping[str, Version]:
        """Uid and generation of the object that the index holds, by key of the tool."""
        return self._applied

    @property
    def waiting(self) -> int:
        """Changes that no search sees yet."""
        return len(self._pending)

    def put(self, tool: Tool, version: Version) -> None:
        """A tool came or changed; the last word about a key counts."""
        self._add(tool.key, tool, version)

    def remove(self, key: str) -> None:
        """A tool is gone."""
        self._add(key, None, NOTHING)

    def close(self) -> None:
        """Stop both threads after what they do now."""
        self._stopping.set()
        self._changed.set()
        self._lacking.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def _add(self, key: str, tool: Tool | None, version: Version) -> None:
        with self._lock:
            self._pending[key] = (tool, version)
        self._changed.set()

    def _apply(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait()
            self._changed.clear()
            with self._lock:
                pending, self._pending = self._pending, {}
            if not pending:
                continue
            try:
                self._update(pending)
            except Exception:  # noqa: BLE001 - it is told
                # One that can't be indexed must not end the thread; it stays out, and it is told.
                _log.exception("index: %d changes could not be applied", len(pending))

    def _update(self, pending: Mapping[str, tuple[Tool | None, Version]]) -> None:
        tools = [tool for tool, _ in pending.values() if tool is not None]
        gone = [key for key, (tool, _) in pending.items() if tool is None]
        self._matcher.update(upsert=tools, remove=gone, defer=SLOW_ARMS)
        applied = {key: value for key, value in self._applied.items() if key not in pending}
        applied |= {key: version for key, (tool, version) in pending.items() if tool is not None}
        self._applied = applied
        self._lacking.set()
        self._on_applied()

    def _embed(self) -> None:
        while not self._stopping.is_set():
            self._lacking.wait()
            if self._matcher.embed_missing():
                continue
            self._lacking.clear()
            if any(arm.missing for arm in self._matcher.arms()):
                # The embedder is away; what it lacks it gets once it is back.
                self._stopping.wait(EMBED_PAUSE_S)
                self._lacking.set()
            else:
                # Neighbours are known now. The pause keeps a stream of changes from learning
                # anew with each of them.
                self._matcher.learn_categories()
                self._long_lived.settled(len(self._matcher))
                self._stopping.wait(LEARN_PAUSE_S)

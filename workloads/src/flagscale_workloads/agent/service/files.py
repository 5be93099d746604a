"""AgentTools from YAML files, for use without a cluster; read again when they change."""

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from flagscale_workloads.agent.service.kube.watch import Sink

_log = logging.getLogger(__name__)
INTERVAL_S: Final = 0.25
KIND: Final = "AgentTool"
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast, where libyaml is there."""
Body = dict[str, Any]


class ToolFilesError(Exception):
    """The files can't be used."""


def read_tools(path: Path) -> list[Body]:
    """Every AgentTool of a file, or of all YAML files of a folder. Raises ToolFilesError."""
    found: dict[tuple[str, str], Body] = {}
    for file in _files(path):
        try:
            documents = _documents(file)
        except (OSError, ValueError, yaml.YAMLError) as error:
            msg = f"tools: {file} cannot be read ({str(error).splitlines()[0]}); correct it"
            raise ToolFilesError(msg) from error
        for body in (one for document in documents for one in _objects(document)):
            metadata = body.setdefault("metadata", {})
            metadata.setdefault("namespace", "default")
            name = (str(metadata["namespace"]), str(metadata.get("name", "")))
            if name in found:
                msg = f"tools: {file}: {'/'.join(name)} occurs twice; give each a name of its own"
                raise ToolFilesError(msg)
            found[name] = body
    return list(found.values())


class ToolFiles:
    """Keeps a sink equal to the files."""

    def __init__(self, path: Path, sink: Sink) -> None:
        self._path = path
        self._sink = sink
        self._seen: object = None
        self.listed = asyncio.Event()
        """Set once the sink has seen them."""

    def load(self) -> None:
        """Read them now. Raises ToolFilesError."""
        self._seen = self._version()
        self._sink.replace(read_tools(self._path))
        self.listed.set()

    async def run(self) -> None:
        """Until cancelled; files that can't be used leave the tools as they are."""
        while True:
            try:
                if self._version() != self._seen:
                    self.load()
            except (ToolFilesError, OSError) as error:
                _log.error("%s; the tools from before stay", error)
            await asyncio.sleep(INTERVAL_S)

    def _version(self) -> object:
        stats = []
        for file in _files(self._path):
            stat = file.stat()
            stats.append((str(file), stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(stats)


def _files(path: Path) -> Sequence[Path]:
    if path.is_dir():
        return sorted(one for one in path.iterdir() if one.suffix in {".yaml", ".yml", ".json"})
    if not path.exists():
        msg = f"tools: no such file or folder, got {path}; correct --tools"
        raise ToolFilesError(msg)
    return [path]


def _documents(file: Path) -> list[Any]:
    content = file.read_bytes()
    # JSON's escapes are not all YAML's.
    if file.suffix == ".json":
        return [json.loads(content)]
    return list(yaml.load_all(content, Loader=LOADER))


def _objects(document: object) -> list[Body]:
    """AgentTools of one document, also those of a List."""
    if not isinstance(document, dict):
        return []
    if str(document.get("kind", "")).endswith("List"):
        return [one for item in document.get("items") or () for one in _objects(item)]
    return [document] if document.get("kind") == KIND else []

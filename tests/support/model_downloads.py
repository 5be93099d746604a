"""Builders for tests of downloads: weights, configurations, and a download without pauses."""

import json
import os
import struct
from pathlib import Path
from typing import Any

from flagscale_api.runtime.download import DownloadConfig, DownloadOutcome
from flagscale_workloads.download.__main__ import download
from support.model_hub import BRANCH, ModelHub

REPO = "acme/tiny"


def safetensors(size: int) -> bytes:
    """A file with one tensor of that many bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + os.urandom(size)


def hub_config(server: ModelHub, folder: Path, **changes: Any) -> DownloadConfig:
    """A download of the server's repository."""
    model = {"repo": REPO, "revision": BRANCH, "endpoint": server.url, **changes.pop("hub", {})}
    values = {"folder": str(folder), "huggingFace": model, "maxBytes": 1 << 30, **changes}
    return DownloadConfig.model_validate(values)


def fetch(config: DownloadConfig) -> DownloadOutcome:
    """Download without pauses."""
    return download(config, sleep=lambda _: None)


def names(folder: Path) -> list[str]:
    """Every visible file."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if not name.startswith("."))


def web_config(uri: str, folder: Path, **changes: Any) -> DownloadConfig:
    """A download from a URI."""
    values = {"folder": str(folder), "uri": uri, "maxBytes": 1 << 30, **changes}
    return DownloadConfig.model_validate(values)

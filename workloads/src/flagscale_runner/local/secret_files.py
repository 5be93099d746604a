"""A Secret of this machine: a folder with a file for each key, or a file of KEY=VALUE lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flagscale_operator.kube.client import Manifest

LIMIT_BYTES: Final = 1 << 20
"""As of a Secret in a cluster."""
Values = Mapping[str, str]


class UnreadableSecretError(Exception):
    """What is wrong with it; the message never holds a value."""


def read_secret(path: Path) -> dict[str, str]:
    """Values by their keys; raises UnreadableSecretError."""
    try:
        if path.is_dir():
            return {p.name: _text(p) for p in sorted(path.iterdir()) if p.is_file()}
        return _of_lines(_text(path).splitlines(), path)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no UTF-8 text"
        raise UnreadableSecretError(f"can't be read, got {path} ({why})") from None


def projected(pod: Manifest, secrets: Mapping[str, Values]) -> dict[str, dict[str, str]]:
    """Contents of files by their names by volume; a key that is not there makes no file."""
    found: dict[str, dict[str, str]] = {}
    for volume in pod["spec"]["volumes"]:
        sources = [s["secret"] for s in volume.get("projected", {}).get("sources", ())
                   if "secret" in s]  # fmt: skip
        if sources:
            found[volume["name"]] = {
                item["path"]: secrets[source["name"]][item["key"]]
                for source in sources
                for item in source["items"]
                if item["key"] in secrets.get(source["name"], {})
            }
    return found


def named(pod: Manifest) -> set[str]:
    """Names of the Secrets that a pod refers to."""
    volumes = (v.get("projected", {}).get("sources", ()) for v in pod["spec"]["volumes"])
    mounted = {s["secret"]["name"] for sources in volumes for s in sources if "secret" in s}
    given = (e.get("valueFrom", {}) for c in pod["spec"]["containers"] for e in c["env"])
    return mounted | {v["secretKeyRef"]["name"] for v in given if "secretKeyRef" in v}


def _text(path: Path) -> str:
    if path.stat().st_size > LIMIT_BYTES:
        raise UnreadableSecretError(f"is larger than {LIMIT_BYTES} bytes, got {path}")
    return path.read_text()


def _of_lines(lines: list[str], path: Path) -> dict[str, str]:
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise UnreadableSecretError(f"line {number} of {path} is not KEY=VALUE")
        found[key.strip()] = value
    return found

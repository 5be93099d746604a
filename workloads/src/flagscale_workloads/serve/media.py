"""Pictures, sounds and films in requests: inside them, or behind an address that is allowed.

An engine that fetches whatever address a client names reaches what the client can't: services of
the cluster, a cloud's metadata, files of its own disk.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flagscale_workloads.serve.http.messages import HttpError

SENT_ALONG: Final = "data:"
REMOTE: Final = ("https://", "http://")


def check_media(document: Mapping[str, Any], *, remote: bool) -> None:
    """Raise HttpError 400 for an address that the engine must not fetch.

    `remote` says that the engine itself fetches from hosts only that its settings name.
    """
    for field in ("messages", "input"):
        for name, url in _urls(document.get(field)):
            scheme = url[:8].lower()
            if scheme.startswith(SENT_ALONG) or (remote and scheme.startswith(REMOTE)):
                continue
            where, shown = f"{field}: {name}", repr(url)[:100]
            remedy = "send the content itself, as data:...;base64,..."
            if not remote and scheme.startswith(REMOTE):
                remedy += ", or ask for its host in the engine's extraArgs.allowed-media-domains"
            message = f"{where} is not fetched, got {shown}; {remedy}"
            raise HttpError(400, "not_supported", message, field)


def _urls(value: object) -> Iterator[tuple[str, str]]:
    """Names and addresses in all parts of a conversation, however deep."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            for name, content in part.items():
                if name.endswith("_url"):
                    url = content.get("url") if isinstance(content, dict) else content
                    yield name, url if isinstance(url, str) else ""
                elif isinstance(content, list | dict):
                    left.append(content)

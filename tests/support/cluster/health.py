"""Asks one component whether it works: by HTTP, HTTPS or a Unix socket."""

import socket
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit


def healthy(url: str, timeout: float = 2.0) -> bool:
    """Whether the address answers: status 200, or an accepted connection for unix://."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return _accepts(parts.path, timeout)
    try:
        with urllib.request.urlopen(  # noqa: S310 - our own loopback addresses
            url, timeout=timeout, context=_loopback_context(url)
        ) as reply:
            return bool(reply.status == 200)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
    except OSError:
        return False


def _loopback_context(url: str) -> ssl.SSLContext | None:
    # Health addresses are on loopback and some components make their own certificate.
    if not url.startswith("https:"):
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _accepts(path: str, timeout: float) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True

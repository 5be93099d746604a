"""Progress to the operator, by Kubeflow Trainer's protocol, and what it asks for in return.

Posts are made by a thread of their own: a slow or absent operator never delays a step. There is no
heartbeat; silence means that the loop does not advance.
"""

import json
import logging
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

URL: Final = "KUBEFLOW_TRAINER_SERVER_URL"
CA: Final = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
TOKEN: Final = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # noqa: S105 - the name of a variable
INTERVAL_S: Final = 2.0
TIMEOUT_S: Final = 5.0
COMPLAIN_EVERY_S: Final = 60.0
_VALUE_LIMIT: Final = 64
_MOST_SECONDS: Final = 2**31 - 1

_log = logging.getLogger(__name__)


def now_text() -> str:
    """The time as RFC 3339, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Report:
    """What the operator is told; absent values are left out."""

    percent: int = 0
    remaining_s: float | None = None
    metrics: Mapping[str, float | int | None] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] | None = None

    def body(self) -> bytes:
        """The JSON of a post."""
        named = ((name, value) for name, value in self.metrics.items() if value is not None)
        status: dict[str, Any] = {
            "progressPercentage": max(0, min(100, self.percent)),
            "metrics": [{"name": n, "value": f"{v:.6g}"[:_VALUE_LIMIT]
                         if isinstance(v, float) else str(v)[:_VALUE_LIMIT]} for n, v in named],
            "lastUpdatedTime": now_text(),
        }  # fmt: skip
        if self.remaining_s is not None:
            status["estimatedRemainingSeconds"] = min(_MOST_SECONDS, max(0, int(self.remaining_s)))
        if self.checkpoint:
            status["checkpoint"] = dict(self.checkpoint)
        return json.dumps({"trainerStatus": status}).encode()


class Reporter:
    """Posts the newest report; without the variable of the URL it does nothing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._url = environ.get(URL, "")
        self._ca = environ.get(CA)
        self._token = environ.get(TOKEN)
        self._changed = threading.Condition()
        self._newest: Report | None = None
        self._urgent = self._closed = False
        self._requested = threading.Event()
        self._complained = float("-inf")
        self._thread = threading.Thread(target=self._serve, name="progress", daemon=True)
        if self._url:
            self._thread.start()

    def post(self, report: Report, *, urgent: bool = False) -> None:
        """Tell a newer state; urgent ones do not wait for the next interval."""
        with self._changed:
            self._newest = report
            self._urgent = self._urgent or urgent
            self._changed.notify()

    @property
    def checkpoint_requested(self) -> bool:
        """Whether the operator asked for a checkpoint since it was last answered."""
        return self._requested.is_set()

    def answered(self) -> None:
        """The checkpoint that was asked for is there."""
        self._requested.clear()

    def close(self) -> None:
        """Send what is left, within the time of one post."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._url:
            self._thread.join(TIMEOUT_S + 1)

    def _serve(self) -> None:
        sent = float("-inf")
        while (report := self._next(sent)) is not None:
            sent = time.monotonic()
            try:
                self._send(report)
            except Exception as error:  # noqa: BLE001 - progress never stops training
                self._complain(error)

    def _next(self, sent: float) -> Report | None:
        """Wait for a report whose time has come; None once closed and all is sent."""
        with self._changed:
            while not self._closed and not self._urgent:
                due = sent + INTERVAL_S - time.monotonic()
                if self._newest is not None and due <= 0:
                    break
                self._changed.wait(None if self._newest is None else due)
            report, self._newest, self._urgent = self._newest, None, False
            return report

    def _send(self, report: Report) -> None:
        headers = {"Content-Type": "application/json"}
        if self._token:
            # Kubernetes rotates the token.
            headers["Authorization"] = f"Bearer {Path(self._token).read_text().strip()}"
        request = urllib.request.Request(  # noqa: S310 - the operator sets the URL
            self._url, data=report.body(), headers=headers, method="POST"
        )
        secure = self._url.startswith("https:")
        context = ssl.create_default_context(cafile=self._ca) if secure else None
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as response:  # noqa: S310
            self._read(response.read(1 << 16))

    def _read(self, body: bytes) -> None:
        answer = json.loads(body) if body.strip() else {}
        if isinstance(answer, dict) and answer.get("request") == "checkpoint":
            self._requested.set()

    def _complain(self, error: Exception) -> None:
        if time.monotonic() - self._complained >= COMPLAIN_EVERY_S:
            self._complained = time.monotonic()
            _log.warning("progress was not taken by %s: %s", self._url, error)

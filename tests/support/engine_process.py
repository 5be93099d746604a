"""A real engine as a process of its own, started by what its adapter says."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flagscale_workloads.backends.adapter import Launch
from support.cluster.commands import tail

POLL_S: Final = 0.1
MARK: Final = "FLAGSCALE_ENGINE_MARK"


@dataclass(frozen=True)
class EngineProcess:
    """A running engine; every process that it starts inherits its mark."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path
    mark: str

    def wait_for_token(self, served_name: str, *, timeout_s: float) -> float:
        """Seconds until the first generated token; AssertionError with the log's end if none."""
        body = f'{{"model": "{served_name}", "prompt": "The", "max_tokens": 1}}'.encode()
        return self.wait_for_answer("/v1/completions", body, timeout_s=timeout_s)

    def wait_for_answer(self, path: str, body: bytes, *, timeout_s: float) -> float:
        """Seconds until a request is answered; AssertionError with the log's end if it is not."""
        begun = time.monotonic()
        while not self._answers(path, body):
            said = tail(self.log, 40)
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{said}"
            assert time.monotonic() - begun < timeout_s, f"no answer in {timeout_s} s:\n{said}"
            time.sleep(POLL_S)
        return time.monotonic() - begun

    def _answers(self, path: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()

    def post(self, path: str, fields: Mapping[str, object]) -> bytes:
        """Body of the answer to a POST; urllib.error.HTTPError for a status from 400 on."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310
            self.url + path, data=json.dumps(fields).encode(), headers=headers
        )
        with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
            return bytes(answer.read())

    def family(self) -> list[int]:
        """Pids of all processes with this engine's mark, zombies left out."""
        wanted = f"{MARK}={self.mark}".encode()
        return [int(p.name) for p in Path("/proc").glob("[0-9]*") if _carries(p, wanted)]

    def stop(self, *, grace_s: float) -> float:
        """SIGTERM; seconds until it has ended. subprocess.TimeoutExpired when it takes longer."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(grace_s)
        return time.monotonic() - begun

    def kill(self) -> None:
        """End the whole family by force."""
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)


def start_engine(launch: Launch, *, url: str, log: Path) -> EngineProcess:
    """Start what a launch says, with its output in a log file."""
    mark = uuid.uuid4().hex
    # What pytest was started with is no business of an engine with another environment.
    inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            launch.command,
            # One thread: more would only wait for each other over a model as small as these.
            env={"OMP_NUM_THREADS": "1", **launch.child_environment(inherited), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return EngineProcess(process, url, log, mark)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], *, timeout_s: float, what: str) -> float:
    """Poll; seconds until it held, AssertionError when it did not in time."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < timeout_s, f"{what}: not within {timeout_s} s"
        time.sleep(POLL_S)
    return time.monotonic() - begun


def _carries(process: Path, wanted: bytes) -> bool:
    try:
        return wanted in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False

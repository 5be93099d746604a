"""One request of a client and the answer to it."""

import asyncio
from typing import TYPE_CHECKING

from flagscale_workloads.serve.http.messages import (
    LAST_CHUNK,
    Headers,
    Request,
    chunk,
    response_head,
)

if TYPE_CHECKING:
    from flagscale_workloads.serve.http.connection import ServerConnection, Upgrade


class Exchange:
    """One request and the answer to it."""

    __slots__ = ("_connection", "finished", "keep_alive", "request", "status")

    def __init__(self, connection: "ServerConnection", request: Request) -> None:
        self._connection = connection
        self.request = request
        self.keep_alive = request.keep_alive
        self.status = 0
        """Status that was sent; 0 before."""
        self.finished = False

    @property
    def started(self) -> bool:
        """Whether the client has got a byte: after it no other replica can answer."""
        return self.status != 0

    def send(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        """The whole answer."""
        head = response_head(
            status, content_type, length=len(body), headers=headers, keep_alive=self.keep_alive
        )
        self.status, self.finished = status, True
        self._connection.transport.write(head + (b"" if self.request.method == "HEAD" else body))

    def start(self, status: int, content_type: bytes, headers: Headers = ()) -> None:
        """The head of an answer whose length is not known."""
        chunked = self.request.takes_chunks
        self.status, self.keep_alive = status, self.keep_alive and chunked
        head = response_head(
            status,
            content_type,
            length=None,
            headers=headers,
            keep_alive=self.keep_alive,
            chunked=chunked,
        )
        self._connection.transport.write(head)

    def write(self, data: bytes) -> None:
        """A part of the answer."""
        self._connection.transport.write(chunk(data) if self.request.takes_chunks else data)

    async def drained(self) -> None:
        """Until the client has taken what was written."""
        await self._connection.drained()

    def finish(self, last: bytes = b"") -> None:
        """The end of an answer that was started, after a last part."""
        self.finished = True
        if self.request.takes_chunks:
            last = (chunk(last) if last else b"") + LAST_CHUNK
        self._connection.transport.write(last)

    def upgrade(self, to: "Upgrade") -> bytes:
        """Hand the connection over after an upgrade; see `ServerConnection.upgrade`."""
        self.finished = True
        return self._connection.upgrade(to)

    @property
    def transport(self) -> asyncio.Transport:
        """The client's connection, for what takes it over."""
        return self._connection.transport

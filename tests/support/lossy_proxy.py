"""A door to a server on a Unix socket that swallows answers when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class LossyProxy:
    """Passes everything on, but for the answers that it is to lose."""

    behind: Path
    to_lose: int = 0
    """Of so many scripts from now on the answer is lost, and its connection with it."""
    lost: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        from_server, to_server = await asyncio.open_unix_connection(str(self.behind))
        try:
            while asked := await reader.read(1 << 20):
                to_server.write(asked)
                answer = await from_server.read(1 << 20)
                if self.to_lose and b"EVALSHA" in asked:
                    self.to_lose -= 1
                    self.lost += 1
                    return
                writer.write(answer)
                await writer.drain()
        finally:
            to_server.close()
            writer.close()


@asynccontextmanager
async def lossy(behind: Path, at: Path) -> AsyncIterator[LossyProxy]:
    """Listen on another socket."""
    proxy = LossyProxy(behind)
    server = await asyncio.start_unix_server(proxy.serve, str(at))
    async with server:
        yield proxy

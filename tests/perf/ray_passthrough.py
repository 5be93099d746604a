"""Ray Serve's own HTTP path before the same engine: an ingress that passes a request on.

Runs in the peers' environment: `python ray_passthrough.py PORT ENGINE_PORT`.
"""

import signal
import sys

import aiohttp
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(max_ongoing_requests=256)
class Passthrough:
    """One replica, as our gateway is one process."""

    def __init__(self, engine_port: int) -> None:
        self._url = f"http://127.0.0.1:{engine_port}/v1/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, request: Request) -> Response:
        """Pass one request on."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = await request.body()
        headers = {"content-type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers) as answer:
            return Response(await answer.read(), answer.status, media_type="application/json")


def main() -> None:
    """Serve until SIGTERM."""
    port, engine_port = map(int, sys.argv[1:])
    serve.start(
        http_options={"host": "127.0.0.1", "port": port},
        logging_config={"log_level": "ERROR", "enable_access_log": False},
    )
    serve.run(Passthrough.bind(engine_port), route_prefix="/")
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM])
    serve.shutdown()


if __name__ == "__main__":
    main()

"""Runs in a pod: an HTTP tool on port 8000, an MCP server on port 8001."""

import os
import threading

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

mcp = MCPServer("arithmetic")


@mcp.tool()
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


async def weather(request: Request) -> Response:
    return JSONResponse({"city": request.path_params["city"], "rain": True})


http = Starlette(routes=[Route("/weather/{city}", weather)])
# The name of the Service is the host that clients ask for.
anywhere = TransportSecuritySettings(enable_dns_rebinding_protection=False)
host = os.environ["POD_IP"]
threading.Thread(
    target=uvicorn.run, args=(http,), kwargs={"host": host, "port": 8000}, daemon=True
).start()
uvicorn.run(mcp.streamable_http_app(transport_security=anywhere), host=host, port=8001)

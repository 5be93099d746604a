"""HTTP/1.1 on both sides of the gateway: bytes are parsed in C and passed on without a copy more.

Plain asyncio protocols over httptools (llhttp, as in Node.js and uvicorn): an ASGI server before
an HTTP client library costs a gateway several times what it forwards.
"""

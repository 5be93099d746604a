"""An API server whose answers and faults the test decides: lists, watches and reviews, over TLS."""

import asyncio
import copy
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from support.cluster import pki
from support.loopback_tools import QuietServer

TOOLS = "/apis/flagscale.dev/v1alpha1/agenttools"
ONE = "/apis/flagscale.dev/v1alpha1/namespaces/{namespace}/agenttools/{name}"


class ScriptedKube:
    """`put` and `delete` change it; `users` and `allowed` answer reviews; the rest are faults."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.secrets: dict[tuple[str, str], dict[str, Any]] = {}
        self.users: dict[str, str] = {}
        """Token to user name."""
        self.allowed: set[tuple[str, str, str, str]] = set()
        """User, verb (call: create of agenttools/call), namespace, name."""
        self.reviews: list[dict[str, Any]] = []
        self.may_patch = True
        """Whether the service itself may change AgentTools."""
        self.lists = 0
        self.watches = 0
        self.down = False
        self._version = 0
        self._log: list[tuple[int, dict[str, Any]]] = []
        self._oldest = 0
        self._changed = asyncio.Condition()
        self._epoch = 0

    async def put(self, body: dict[str, Any]) -> None:
        """Create or change an object."""
        body = copy.deepcopy(body)
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        before = self.objects.get(key)
        metadata.setdefault("uid", f"uid-{metadata['name']}")
        old = before["metadata"]["generation"] if before else 0
        metadata["generation"] = old + (before is None or before["spec"] != body["spec"])
        self.objects[key] = body
        await self._tell("MODIFIED" if before else "ADDED", body)

    async def delete(self, namespace: str, name: str) -> None:
        """Delete an object."""
        await self._tell("DELETED", self.objects.pop((namespace, name)))

    async def forget(self) -> None:
        """Compact: versions of before are gone, and so are all watches."""
        self._log.clear()
        self._oldest = self._version
        await self.drop_watches()

    async def drop_watches(self) -> None:
        """Close every watch."""
        self._epoch += 1
        async with self._changed:
            self._changed.notify_all()

    async def _tell(self, kind: str, body: dict[str, Any]) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self._log.append((self._version, {"type": kind, "object": copy.deepcopy(body)}))
        async with self._changed:
            self._changed.notify_all()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route(TOOLS, self._collection),
                Route(ONE, self._read, methods=["GET"]),
                Route(ONE, self._patch, methods=["PATCH"]),
                Route(f"{ONE}/status", self._patch_status, methods=["PATCH"]),
                Route("/api/v1/namespaces/{namespace}/secrets/{name}", self._secret),
                Route("/apis/authentication.k8s.io/v1/tokenreviews", self._token, methods=["POST"]),
                Route(
                    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                    self._access,
                    methods=["POST"],
                ),
            ]
        )

    async def _collection(self, request: Request) -> Response:
        if self.down:
            return _status(503, "down")
        if request.query_params.get("watch") == "true":
            return self._watch(int(request.query_params["resourceVersion"]))
        self.lists += 1
        metadata = {"resourceVersion": str(self._version)}
        return JSONResponse({"metadata": metadata, "items": list(self.objects.values())})

    def _watch(self, version: int) -> Response:
        self.watches += 1
        if version < self._oldest:
            gone = {"code": 410, "message": "too old resource version"}
            return Response(json.dumps({"type": "ERROR", "object": gone}) + "\n")
        return StreamingResponse(self._events(version, self._epoch))

    async def _events(self, version: int, epoch: int) -> AsyncIterator[str]:
        while epoch == self._epoch:
            news = [(at, event) for at, event in self._log if at > version]
            for at, event in news:
                version = at
                yield json.dumps(event) + "\n"
            async with self._changed:
                if epoch == self._epoch and not (self._log and self._log[-1][0] > version):
                    await self._changed.wait()

    async def _read(self, request: Request) -> Response:
        if self.down:
            return _status(503, "down")
        found = self.objects.get((request.path_params["namespace"], request.path_params["name"]))
        return JSONResponse(found) if found else _status(404, "not found")

    async def _patch(self, request: Request) -> Response:
        """Merge patch of a spec."""
        assert request.headers["content-type"] == "application/merge-patch+json"
        if not self.may_patch:
            return _status(403, "forbidden")
        body = copy.deepcopy(self.objects[tuple(request.path_params.values())])
        merged = {**body["spec"], **(await request.json())["spec"]}
        body["spec"] = {key: value for key, value in merged.items() if value is not None}
        await self.put(body)
        return JSONResponse(body)

    async def _patch_status(self, request: Request) -> Response:
        change = await request.json()
        body = self.objects[request.path_params["namespace"], request.path_params["name"]]
        if change["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            return _status(409, "conflict")
        body.setdefault("status", {}).update(change["status"])
        await self._tell("MODIFIED", body)
        return JSONResponse(body)

    async def _secret(self, request: Request) -> Response:
        found = self.secrets.get((request.path_params["namespace"], request.path_params["name"]))
        return JSONResponse(found) if found else _status(403, "forbidden")

    async def _token(self, request: Request) -> Response:
        if self.down:
            return _status(503, "down")
        spec = (await request.json())["spec"]
        user = self.users.get(spec["token"])
        status = {
            "authenticated": user is not None,
            "user": {"username": user, "groups": ["system:authenticated"]},
            "audiences": spec["audiences"] if user else [],
        }
        return JSONResponse({"status": status})

    async def _access(self, request: Request) -> Response:
        spec = (await request.json())["spec"]
        self.reviews.append(spec)
        asked = spec["resourceAttributes"]
        verb = "call" if asked.get("subresource") == "call" else asked["verb"]
        namespace, name = asked.get("namespace", ""), asked.get("name", "")
        # As RBAC does it: a right in all namespaces or for all names holds for one.
        wide = {(namespace, name), (namespace, ""), ("", "")}
        allowed = any((spec["user"], verb, *place) in self.allowed for place in wide)
        return JSONResponse({"status": {"allowed": allowed}})


def _status(code: int, message: str) -> Response:
    return JSONResponse({"kind": "Status", "message": message}, status_code=code)


@asynccontextmanager
async def scripted_kube(kube: ScriptedKube, folder: Path) -> AsyncIterator[dict[str, str]]:
    """Run it; the environment and, in `folder`, the service account of a pod."""
    keys = folder / "keys"
    pki.ensure(keys, [pki.Identity("server", "kubernetes", names=("127.0.0.1",))])
    (folder / "ca.crt").write_bytes((keys / "ca.crt").read_bytes())
    (folder / "token").write_text("own-token")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            kube.application(),
            log_config=None,
            timeout_graceful_shutdown=1,
            ssl_certfile=str(keys / "server.crt"),
            ssl_keyfile=str(keys / "server.key"),
        )
        server = QuietServer(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up()
        port = str(listener.getsockname()[1])
        try:
            yield {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
        finally:
            await kube.drop_watches()
            server.should_exit = True
            await running

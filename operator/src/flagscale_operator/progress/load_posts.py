"""Gateways tell their load: one route, a token per service, a body of two numbers."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flagscale_api import keys
from flagscale_operator.kinds.inference_service.load_report import PATH, audience
from flagscale_operator.progress.gate import JobPace
from flagscale_operator.progress.load_board import LoadBoard, LoadReport
from flagscale_operator.progress.posts import read_post, refusal
from flagscale_operator.progress.protocol import Refused
from flagscale_operator.progress.tokens import TokenChecker

GATEWAY = "gateway"
MOST_REQUESTS = 1e9


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    requests: float = Field(ge=0, le=MOST_REQUESTS, allow_inf_nan=False)
    waiting: int = Field(ge=0, le=MOST_REQUESTS)


class LoadPosts:
    """Handles the posts of gateways."""

    def __init__(
        self,
        board: LoadBoard,
        tokens: TokenChecker,
        *,
        on_post: Callable[[int], None],
        service_exists: Callable[[str, str], bool],
    ) -> None:
        self._board = board
        self._tokens = tokens
        self._on_post = on_post
        self._service_exists = service_exists
        self._pace = JobPace(clock=asyncio.get_running_loop().time)

    def routes(self) -> list[web.RouteDef]:
        """The route of the posts."""
        return [web.post(PATH, self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one post; bodies and tokens are never logged."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        try:
            await self._accept(request, namespace, name)
        except Refused as refused:
            self._on_post(refused.status)
            return refusal(refused)
        self._on_post(200)
        return web.json_response({})

    async def _accept(self, request: web.Request, namespace: str, name: str) -> None:
        token, body = await read_post(request)
        wanted = audience(namespace, name)
        pod, labels = await self._tokens.labels_of(token, wanted=wanted, namespace=namespace)
        ours = labels.get(keys.INFERENCE_SERVICE_LABEL) == name
        if not ours or labels.get(keys.COMPONENT_LABEL) != GATEWAY:
            msg = f"pod: is no gateway of InferenceService {namespace}/{name}, got {pod.name}"
            raise Refused(403, msg)
        if not self._service_exists(namespace, name):
            raise Refused(404, f"InferenceService: does not exist, got {namespace}/{name}")
        self._pace.take(namespace, name)
        self._board.put(namespace, name, gateway=pod.uid, report=_parse(body))


def _parse(body: bytes) -> LoadReport:
    try:
        read = _Body.model_validate_json(body)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}, got {e['input']!r:.80}; "
            "correct the sender"
            for e in error.errors(include_url=False, include_context=False)[:8]
        )
        raise Refused(422, told) from error
    return LoadReport(read.requests, read.waiting)

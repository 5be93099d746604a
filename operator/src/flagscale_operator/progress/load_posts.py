"""Gateways tell their load: one route, a token per service, a body of two numbers."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flagscale_api import keys
from flagscale_operator.kinds.inference_service.load_report import PATH, audience
from flagscale_operator.progress.load_board import LoadBoard, LoadReport
from flagscale_operator.progress.posts import Posts, read_post
from flagscale_operator.progress.protocol import Refused
from flagscale_operator.progress.tokens import TokenChecker

GATEWAY = "gateway"
MOST_REQUESTS = 1e9


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    requests: float = Field(ge=0, le=MOST_REQUESTS, allow_inf_nan=False)
    waiting: int = Field(ge=0, le=MOST_REQUESTS)


class LoadPosts(Posts):
    """Handles the posts of gateways."""

    def __init__(
        self,
        board: LoadBoard,
        tokens: TokenChecker,
        *,
        on_post: Callable[[int], None],
        service_exists: Callable[[str, str], bool],
    ) -> None:
        super().__init__(on_post)
        self._board = board
        self._tokens = tokens
        self._service_exists = service_exists

    def routes(self) -> list[web.RouteDef]:
        """The route of the posts."""
        return [web.post(PATH, self.handle)]

    async def _accept(self, request: web.Request, namespace: str, name: str) -> dict[str, Any]:
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
        return {}


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

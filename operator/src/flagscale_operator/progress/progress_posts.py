"""Training pods tell their progress, and hear whether a checkpoint is wanted."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.posts import Posts, read_post
from flagscale_operator.progress.protocol import Refused, parse_report
from flagscale_operator.progress.tokens import TokenChecker

OnPost = Callable[[int], None]
JobExists = Callable[[str, str], bool]


class ProgressPosts(Posts):
    """Handles the posts of training pods."""

    def __init__(
        self,
        board: ProgressBoard,
        tokens: TokenChecker,
        *,
        on_post: OnPost,
        job_exists: JobExists | None,
    ) -> None:
        super().__init__(on_post)
        self._board = board
        self._tokens = tokens
        self._job_exists = job_exists

    async def _accept(self, request: web.Request, namespace: str, name: str) -> dict[str, Any]:
        token, body = await read_post(request)
        attempt = await self._tokens.attempt_of(token, namespace=namespace, name=name)
        if self._job_exists and not self._job_exists(namespace, name):
            raise Refused(404, f"TrainJob: does not exist, got {namespace}/{name}")
        self._pace.take(namespace, name)
        self._board.put(namespace, name, attempt=attempt, report=parse_report(body))
        asked = self._board.checkpoint_requested(namespace, name)
        return {"request": "checkpoint"} if asked else {}

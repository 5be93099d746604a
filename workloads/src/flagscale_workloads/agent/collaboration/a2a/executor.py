"""Runs an agent's function for each task, as the official SDK asks for it."""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from a2a.helpers.proto_helpers import (
    get_data_parts,
    new_data_part,
    new_task_from_user_message,
    new_text_part,
)
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types.a2a_pb2 import Message, Part
from a2a.utils.errors import InvalidParamsError

from flagscale_workloads.agent.collaboration.values import Json

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task that another agent hands over."""

    text: str
    data: tuple[Json, ...]
    """Its structured parts."""
    task_id: str
    context_id: str
    """Names the conversation that it is part of."""


Work = Callable[[Assignment], AsyncIterator[Json]]
"""Yields the answer piece by piece: a string is text, anything else a structured part."""


class WorkExecutor(AgentExecutor):
    """Streams what the function yields; refuses tasks beyond a number at a time."""

    def __init__(self, work: Work, at_once: int) -> None:
        self._work = work
        self._at_once = at_once
        self._running = 0

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """One task, to its end."""
        updater = await self._accept(context, event_queue)
        if self._running >= self._at_once:
            await updater.reject(_said(updater, f"busy: {self._running} tasks run; try later"))
            return
        self._running += 1
        try:
            await self._run(context, updater)
        finally:
            self._running -= 1

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """The SDK has stopped `execute`; what is left is to say so."""
        updater = TaskUpdater(event_queue, context.task_id or "", context.context_id or "")
        await updater.cancel()

    async def _accept(self, context: RequestContext, event_queue: EventQueue) -> TaskUpdater:
        if context.message is None:
            raise InvalidParamsError(message="message: missing; send one")
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        return TaskUpdater(event_queue, task.id, task.context_id)

    async def _run(self, context: RequestContext, updater: TaskUpdater) -> None:
        await updater.start_work()
        message = context.message
        assignment = Assignment(
            context.get_user_input(),
            tuple(get_data_parts(message.parts)) if message else (),
            updater.task_id,
            updater.context_id,
        )
        try:
            first = True
            async for piece in self._work(assignment):
                await updater.add_artifact(
                    [_part(piece)], artifact_id="answer", append=not first, last_chunk=False
                )
                first = False
        except Exception as error:  # noqa: BLE001 - the agent's own code may raise anything
            _log.warning("task %s failed", updater.task_id, exc_info=True)
            await updater.failed(_said(updater, f"{type(error).__name__}: {error}"[:500]))
            return
        await updater.complete()


def _part(piece: Json) -> Part:
    return new_text_part(piece) if isinstance(piece, str) else new_data_part(piece)


def _said(updater: TaskUpdater, text: str) -> Message:
    return updater.new_agent_message([new_text_part(text)])

"""Adds up the events of a task."""

from a2a.helpers.proto_helpers import get_data_parts, get_text_parts
from a2a.types.a2a_pb2 import (
    Message,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)

from flagscale_workloads.agent.collaboration.a2a.outcome import Outcome


class Progress:
    """The parts of each artifact so far, and the state."""

    def __init__(self) -> None:
        self._artifacts: dict[str, list[Part]] = {}
        self.outcome = Outcome("submitted")

    def after(self, event: StreamResponse) -> Outcome:
        """The outcome once an event is counted in."""
        kind = event.WhichOneof("payload")
        if kind == "message":
            self.outcome = _answered(event.message)
        elif kind == "task":
            self._restart(event.task)
        elif kind == "artifact_update":
            self._add(event.artifact_update)
        elif kind == "status_update":
            update = event.status_update
            self._set(update.status, update.task_id, update.context_id)
        return self.outcome

    def _restart(self, task: Task) -> None:
        self._artifacts = {one.artifact_id: list(one.parts) for one in task.artifacts}
        self._set(task.status, task.id, task.context_id)

    def _add(self, update: TaskArtifactUpdateEvent) -> None:
        artifact = update.artifact
        parts = self._artifacts.setdefault(artifact.artifact_id, [])
        if not update.append:
            parts.clear()
        parts.extend(artifact.parts)
        before = self.outcome
        self.outcome = self._outcome(before.state, update.task_id, update.context_id)

    def _set(self, status: TaskStatus, task_id: str, context_id: str) -> None:
        name = TaskState.Name(status.state).removeprefix("TASK_STATE_").lower()
        self.outcome = self._outcome(name, task_id, context_id, list(status.message.parts))

    def _outcome(
        self, state: str, task_id: str, context_id: str, said: list[Part] | None = None
    ) -> Outcome:
        reason = "".join(get_text_parts(said or []))
        parts = [part for one in self._artifacts.values() for part in one]
        if not parts and state == "completed":
            # Many agents answer with the message of their last state alone.
            parts = said or []
        text, data = "".join(get_text_parts(parts)), tuple(get_data_parts(parts))
        return Outcome(state, text, data, task_id, context_id, reason)


def _answered(message: Message) -> Outcome:
    parts = list(message.parts)
    return Outcome(
        "completed",
        "".join(get_text_parts(parts)),
        tuple(get_data_parts(parts)),
        message.task_id,
        message.context_id,
    )

"""Tasks of an agent: the newest are kept, so that callers can ask again what came of them."""

from collections import OrderedDict

from a2a.server.context import ServerCallContext
from a2a.server.tasks import InMemoryTaskStore
from a2a.types.a2a_pb2 import Task


class NewestTasks(InMemoryTaskStore):
    """The SDK's store in memory, without its growth."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._kept: OrderedDict[str, None] = OrderedDict()

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Keep a task; the one that changed longest ago goes."""
        await super().save(task, context)
        self._kept[task.id] = None
        self._kept.move_to_end(task.id)
        if len(self._kept) > self._limit:
            oldest, _ = self._kept.popitem(last=False)
            await super().delete(oldest, context)

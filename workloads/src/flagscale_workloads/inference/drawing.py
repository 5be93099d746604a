"""Pictures of concurrent requests in one batch, where all that shapes the batch is equal."""

import logging
from collections import deque

from flagscale_workloads.inference.errors import RequestError, internal, out_of_memory
from flagscale_workloads.inference.image_model import ImageModel, NobodyWaits
from flagscale_workloads.inference.jobs import Failure, ImageInput, Images, Job
from flagscale_workloads.inference.memory import BatchLimit, is_out_of_memory
from flagscale_workloads.inference.meters import Meters

log = logging.getLogger(__name__)


class _Progress:
    """A request and its pictures so far."""

    def __init__(self, job: Job, given: ImageInput) -> None:
        self.job = job
        self.input = given
        self.png: list[bytes] = []

    @property
    def shape(self) -> tuple[object, ...]:
        """What must be equal within a batch."""
        given = self.input
        return (given.width, given.height, given.steps, given.guidance)


class Drawing:
    """Batches pictures; used by one thread only."""

    def __init__(self, model: ImageModel, *, max_batch: int, meters: Meters) -> None:
        self._model = model
        self._meters = meters
        self._limit = BatchLimit(max_batch)
        self._requests: deque[_Progress] = deque()
        self.running = 0

    @property
    def waiting(self) -> int:
        """Requests that no picture is being drawn of."""
        return max(0, len(self._requests) - self.running)

    def add(self, job: Job) -> None:
        """Take a request."""
        if isinstance(job.input, ImageInput):
            self._requests.append(_Progress(job, job.input))

    def step(self) -> None:
        """Draw the oldest request's pictures, and those of others that fit in."""
        self._requests = deque(r for r in self._requests if not r.job.cancelled)
        if not self._requests:
            return
        oldest = self._requests[0]
        todo = [(request, request.input.seed + place) for request in self._requests
                if request.shape == oldest.shape
                for place in range(len(request.png), request.input.count)]  # fmt: skip
        batch = todo[: self._limit.rows]
        self.running = len({id(request) for request, _ in batch})
        self._draw(batch, oldest)
        for request in [r for r in self._requests if len(r.png) == r.input.count]:
            self._requests.remove(request)
            request.job.emit(Images(tuple(request.png)))
        self.running = 0

    def fail_all(self, error: RequestError) -> None:
        """End everything that waits or runs."""
        for request in list(self._requests):
            self._fail(request, error)

    def _draw(self, batch: list[tuple[_Progress, int]], oldest: _Progress) -> None:
        pictures = [(request.input.prompt, seed) for request, seed in batch]
        try:
            drawn = self._model.draw(
                pictures,
                oldest.input,
                wanted=lambda: not all(request.job.cancelled for request, _ in batch),
            )
        except NobodyWaits:
            return
        except Exception as error:
            if not is_out_of_memory(error):
                log.exception("the pipeline failed with %d pictures", len(batch))
                for request in {id(request): request for request, _ in batch}.values():
                    self._fail(request, internal())
                return
        else:
            self._meters.images.inc(len(drawn))
            self._limit.succeeded()
            for (request, _), png in zip(batch, drawn, strict=True):
                request.png.append(png)
            return
        self._meters.out_of_memory.inc()
        if not self._limit.failed(len(batch)):
            self._fail(oldest, out_of_memory())

    def _fail(self, request: _Progress, error: RequestError) -> None:
        self._requests.remove(request)
        request.job.emit(Failure(error))

"""The child objects of a TrainJob, as requests to the API server."""

from flagscale_operator.controller.store import Manifest, ObjectStore
from flagscale_operator.errors import ApiError
from flagscale_operator.kinds.ownership import is_owned
from flagscale_operator.kinds.refusals import explain_refusal
from flagscale_operator.kinds.train_job.backends.pytorchjob import render_attempt
from flagscale_operator.kinds.train_job.facts import ChildFact
from flagscale_operator.kinds.train_job.names import child_name
from flagscale_operator.kinds.train_job.plan import TrainJobView
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import PYTORCH_JOB


def is_of(body: Manifest, job: TrainJobView) -> bool:
    """Whether an object belongs to this job, not to an earlier one of the same name."""
    return is_owned(body, job.uid)


class Children:
    """Makes, suspends and deletes attempts; what was written is in the store at once."""

    def __init__(self, *, kube: Kube, store: ObjectStore, context: RenderContext) -> None:
        self._kube = kube
        self._store = store
        self._context = context

    async def create(self, job: TrainJobView, attempt: int) -> None:
        """Make an attempt; one that is there already is fine if it is ours.

        A plain create, not an apply: apply would silently merge into a foreign object of the same
        name wherever their fields don't overlap, and a create tells the two cases apart at once.
        """
        manifest = render_attempt(job, self._context, attempt=attempt, suspend=job.spec.suspend)
        try:
            made = await self._kube.create(PYTORCH_JOB, manifest)
        except ApiError as error:
            if not (error.conflict and await self.exists(job, child_name(job.name, attempt))):
                raise
        else:
            self._store.upsert(made)

    async def set_suspend(self, job: TrainJobView, attempt: int, *, suspend: bool) -> None:
        """Stop or resume an attempt that is ours."""
        manifest = render_attempt(job, self._context, attempt=attempt, suspend=suspend)
        applied = await self._kube.apply(PYTORCH_JOB, manifest, force=True)
        self._store.upsert(applied)

    async def exists(self, job: TrainJobView, child: str) -> bool:
        """Ask before a choice that can't be undone: a watch may have missed something."""
        found = await self._kube.get(PYTORCH_JOB, job.namespace, child)
        if found is None or not is_of(found, job) or "deletionTimestamp" in found["metadata"]:
            return False
        self._store.upsert(found)
        return True

    async def delete(self, job: TrainJobView, child: ChildFact) -> None:
        """Delete an attempt and, by garbage collection, its pods."""
        try:
            await self._kube.delete(PYTORCH_JOB, job.namespace, child.name, uid=child.uid)
        except ApiError as error:
            if not error.not_found:
                raise


def explain_blocked(error: ApiError, child: str) -> tuple[str | None, str]:
    """Condition reason and message for a refused child, or None for what is worth retrying."""
    if error.not_found:
        return "DependencyMissing", (
            "the kind PyTorchJob (kubeflow.org/v1) is not installed; install the Kubeflow "
            "training-operator, this job then goes on by itself"
        )
    return explain_refusal(error, kind="PyTorchJob", child=child, owner="job")

"""A world that fails and forgets at random: the job's promises hold in every history."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_operator.kinds.train_job.facts import ChildFact, Observed, PodFact
from flagscale_operator.kinds.train_job.plan import TrainJobView
from flagscale_operator.kinds.train_job.reconcile import plan
from support.train_jobs import at, child, ended, make_job, pod

EVENTS = ("run", "kill", "oom", "delete-pod", "delete-child", "succeed", "wait")


@dataclass
class World:
    """An API server with one TrainJob; a write may be the operator's last."""

    job: TrainJobView
    now: float = 0.0
    children: dict[int, ChildFact] = field(default_factory=dict)
    pods: dict[tuple[int, int], PodFact] = field(default_factory=dict)
    made: list[int] = field(default_factory=list)

    def seen(self) -> Observed:
        return Observed(
            children=tuple(self.children.values()),
            pods=tuple(self.pods.values()),
            operator_started_at=at(0),
        )

    def reconcile(self, *, crash_after: int) -> None:
        """Carry a plan out in the shell's order; the operator dies after some of its writes."""
        decided = plan(self.job, self.seen(), now=at(self.now))
        writes = []
        if decided.create_attempt is not None:
            writes.append(("create", decided.create_attempt))
        writes.append(("status", 0))
        writes += [("delete", c.attempt) for c in decided.delete_children]
        for verb, attempt in writes[:crash_after]:
            if verb == "create" and attempt not in self.children:
                recorded = [a.number for a in self.job.status.attempts]
                assert attempt not in recorded, "a recorded attempt was made again"
                self.made.append(attempt)
                self.children[attempt] = child(attempt)
            elif verb == "status":
                self.job = replace(self.job, status=decided.status)
            elif verb == "delete":
                self.drop(attempt)

    def drop(self, attempt: int) -> None:
        self.children.pop(attempt, None)
        self.pods = {k: p for k, p in self.pods.items() if k[0] != attempt}

    def happen(self, event: str, index: int) -> None:
        """Something happens to the newest gang."""
        if not self.children:
            return
        newest = max(self.children)
        if self.children[newest].succeeded or self.children[newest].failed:
            return
        key = (newest, index)
        if event == "run":
            for i in (0, 1):
                self.pods.setdefault((newest, i), pod(i, newest))
        elif event == "delete-child":
            self.drop(newest)
        elif event == "succeed":
            for i in (0, 1):
                self.pods[newest, i] = ended(i, 0, attempt=newest, seconds=self.now)
            self.children[newest] = replace(self.children[newest], succeeded=True)
        elif key in self.pods:
            dead = {
                "kill": ended(index, 137, attempt=newest, seconds=self.now),
                "oom": ended(index, 137, attempt=newest, reason="OOMKilled", seconds=self.now),
                "delete-pod": pod(index, newest, gone=True),
            }
            self.pods[key] = dead.get(event, self.pods[key])


STEPS = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.integers(0, 1), st.integers(0, 3), st.integers(1, 40)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=300)
@given(STEPS)
def test_attempts_are_made_once_each_in_order_and_ends_are_final(
    steps: list[tuple[str, int, int, int]],
) -> None:
    world, finished = World(make_job()), None
    for event, index, crash_after, seconds in steps:
        world.happen(event, index)
        world.reconcile(crash_after=crash_after)
        world.now += seconds
        status = world.job.status
        if finished:
            assert (status.phase, status.completion_time) == finished
        elif status.completion_time:
            finished = (status.phase, status.completion_time)
        numbers = [a.number for a in status.attempts]
        assert numbers == sorted(set(numbers))
        assert len([a for a in status.attempts if a.end_time is None]) <= 1

    assert world.made == sorted(world.made)


@settings(max_examples=200)
@given(STEPS)
def test_a_settled_job_asks_for_no_further_write(steps: list[tuple[str, int, int, int]]) -> None:
    world = World(make_job())
    for event, index, _, seconds in steps:
        world.happen(event, index)
        world.reconcile(crash_after=9)
        world.now += seconds

    for _ in range(3):
        world.reconcile(crash_after=9)
    again = plan(world.job, world.seen(), now=at(world.now))

    assert again.status == world.job.status
    assert again.create_attempt is None

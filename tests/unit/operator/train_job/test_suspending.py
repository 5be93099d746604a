"""Suspension: a checkpoint, then no pods, then on with the same attempt."""

from dataclasses import replace

from support.train_jobs import child, ended, make_job, observed, pod, report, running_job, step

BOTH = (pod(0), pod(1))


def test_suspend_asks_for_a_checkpoint_then_stops_then_resumes_the_same_attempt() -> None:
    job = running_job(suspend=True)
    job, asked = step(job, observed(child(), *BOTH, report(40, seconds=19)), 20)
    job, patient = step(job, observed(child(), *BOTH, report(41, seconds=24)), 25)
    saved = report(42, seconds=29, checkpoint=42)
    assert saved.checkpoint is not None
    saved = replace(
        saved, checkpoint=saved.checkpoint.model_copy(update={"time": "2026-01-01T00:00:28Z"})
    )
    job, stop = step(job, observed(child(), *BOTH, saved), 30)
    job, gone = step(job, observed(child(suspended=True)), 40)
    resumed = replace(job, spec=job.spec.model_copy(update={"suspend": False}))
    _, go_on = step(resumed, observed(child(suspended=True)), 50)

    assert asked.request_checkpoint
    assert asked.set_suspend is None
    assert patient.set_suspend is None
    assert stop.set_suspend == (1, True)
    assert gone.status.phase == "Suspended"
    assert (go_on.set_suspend, go_on.create_attempt) == ((1, False), None)


def test_suspend_does_not_wait_for_ever_for_a_checkpoint() -> None:
    job = running_job(suspend=True, suspendTimeoutSeconds=10)
    silent = observed(child(), *BOTH, report(40, seconds=19))
    job, _ = step(job, silent, 20)

    _, decided = step(job, silent, 31)

    assert decided.set_suspend == (1, True)


def test_a_job_created_suspended_makes_nothing() -> None:
    job, decided = step(make_job(suspend=True), observed(), 0)

    assert (job.status.phase, decided.create_attempt) == ("Suspended", None)


def test_pods_that_suspension_stopped_are_no_failure() -> None:
    job = running_job(suspend=True, suspendTimeoutSeconds=0)
    job, _ = step(job, observed(child(), *BOTH), 20)
    killed = (ended(0, 143), pod(1, deleting=True), pod(1, gone=True))

    job, decided = step(job, observed(child(suspended=True), *killed), 25)

    assert job.status.failure is None
    assert decided.status.phase == "Suspending"


def test_a_resume_waits_until_the_old_pods_are_gone() -> None:
    job = running_job(suspend=True, suspendTimeoutSeconds=0)
    ending = replace(ended(0, 143), deleting=True)

    waiting, _ = step(job, observed(child(suspended=True), ending), 20)
    resumed = replace(waiting, spec=job.spec.model_copy(update={"suspend": False}))
    _, early = step(resumed, observed(child(suspended=True), ending), 21)
    _, late = step(resumed, observed(child(suspended=True), replace(ending, gone=True)), 22)

    assert waiting.status.phase == "Suspending"
    assert early.set_suspend is None
    assert late.set_suspend == (1, False)

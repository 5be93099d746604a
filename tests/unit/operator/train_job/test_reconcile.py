"""Decisions about a TrainJob: each test is one situation and the one right answer to it."""

from dataclasses import replace

import pytest

from flagscale_operator.kinds.train_job.facts import Observed
from flagscale_operator.kinds.train_job.reconcile import plan
from flagscale_operator.kinds.train_job.root_cause import find_root_cause
from support.train_jobs import (
    at,
    child,
    ended,
    make_job,
    observed,
    pod,
    ready,
    report,
    running_job,
    step,
)

BOTH = (pod(0), pod(1))


def test_a_new_job_gets_its_first_attempt() -> None:
    job, decided = step(make_job(), observed(), 0)

    assert decided.create_attempt == 1
    assert job.status.attempts[0].child == "job-a1"
    assert (job.status.phase, ready(decided)) == ("Starting", ("False", "Created"))


def test_the_same_input_twice_changes_nothing_the_second_time() -> None:
    job = running_job()

    decided = plan(job, observed(child(), *BOTH), now=at(30))

    assert decided.status == job.status
    assert (decided.create_attempt, decided.delete_children) == (None, ())


def test_a_child_that_status_does_not_know_is_adopted_not_made_again() -> None:
    decided = plan(make_job(), observed(child(), *BOTH), now=at(5))

    assert decided.create_attempt is None
    assert decided.status.attempts[0].number == 1
    assert decided.status.phase == "Running"


def test_progress_and_checkpoint_of_the_current_attempt_reach_status() -> None:
    job, _ = step(running_job(), observed(child(), *BOTH, report(40, checkpoint=25)), 20)

    progress, saved = job.status.progress, job.status.checkpoint
    assert progress is not None
    assert saved is not None
    assert (progress.step, progress.percent, progress.loss, progress.eta) == (40, 40, "2.5", "1m")
    assert saved.step == 25


def test_a_report_of_an_older_attempt_is_ignored() -> None:
    job, _ = step(running_job(), observed(child(), *BOTH, report(40, attempt=0)), 20)

    assert job.status.progress is None


def test_a_failed_pod_ends_the_attempt_and_the_gang_restarts_once_after_its_delay() -> None:
    seen = observed(child(), ended(0, message="Killed"), ended(1, code=137))
    job, failed = step(running_job(), seen, 10)
    assert failed.delete_children == (child(),)
    assert job.status.attempts[-1].end_time is not None
    assert (job.status.phase, ready(failed)) == ("Restarting", ("False", "Restarting"))

    job, waiting = step(job, observed(), 15)
    job, restarted = step(job, observed(), 21)
    job, after = step(job, observed(child(2), pod(0, 2), pod(1, 2)), 25)

    assert waiting.create_attempt is None
    assert restarted.create_attempt == 2
    assert after.create_attempt is None
    assert (job.status.restarts, len(job.status.attempts)) == (1, 2)


def test_the_next_attempt_waits_until_the_old_gang_is_gone() -> None:
    seen = observed(child(), ended(0, code=137), ended(1, code=137))
    job, _ = step(running_job(), seen, 10)

    leaving = pod(1, deleting=True, deletion_time=at(60))
    _, waiting = step(job, observed(leaving), 61)
    _, on_lost_node = step(job, observed(leaving), 80)

    assert waiting.create_attempt is None
    assert on_lost_node.create_attempt == 2


def test_lost_steps_are_those_that_were_computed_again() -> None:
    job, _ = step(running_job(), observed(child(), *BOTH, report(57)), 10)
    job, _ = step(job, observed(child(), ended(0, code=137), ended(1, code=137)), 12)
    job, _ = step(job, observed(), 40)

    news = report(51, attempt=2, resumed_step="50")
    job, _ = step(job, observed(child(2), pod(0, 2), pod(1, 2), news), 45)

    last = job.status.attempts[-1]
    assert (last.resumed_step, last.lost_steps) == (50, 7)


def test_the_other_pods_are_heard_before_the_cause_is_named() -> None:
    echo = ended(0, message="RuntimeError: Connection closed by peer", seconds=10)
    job = running_job()

    job, early = step(job, observed(child(), echo, pod(1)), 11)
    _, late = step(job, observed(child(), echo, ended(1, 137, reason="OOMKilled")), 12)

    assert early.status.failure is None
    assert late.status.failure is not None
    assert (late.status.failure.cause, late.status.failure.rank) == ("OutOfMemory", 1)


def test_a_user_error_is_not_restarted() -> None:
    text = '{"message": {"message": "ValueError: boom", "extraInfo": {"rank": 1}}}'
    job, decided = step(running_job(), observed(child(failed=True), ended(1, message=text)), 20)

    assert job.status.phase == "Failed"
    assert job.status.failure is not None
    assert "ValueError: boom" in job.status.failure.message
    assert job.status.failure.cause == "UserError"
    assert ready(decided) == ("False", "UserError")


def test_a_spent_budget_ends_the_job_and_names_the_budget() -> None:
    policy = {"restartBudgets": {"outOfMemory": 0}}
    seen = observed(child(), ended(0, 137, reason="OOMKilled"), ended(1))
    job, decided = step(running_job(failurePolicy=policy), seen, 20)

    assert job.status.phase == "Failed"
    assert decided.delete_children == (child(),)
    assert job.status.failure is not None
    assert "restartBudgets.outOfMemory is spent (0 of 0)" in job.status.failure.message


def test_preemption_is_restarted_and_not_counted() -> None:
    taken = pod(1, deleting=True, disruption="PreemptionByScheduler")
    job, _ = step(running_job(), observed(child(), pod(0), taken), 20)

    assert job.status.phase == "Restarting"
    assert job.status.failure is not None
    assert job.status.failure.cause == "Preempted"
    assert job.status.restart_counts.killed == 0


def test_a_deleted_pod_is_the_cause_though_the_job_failed_before_it_was_seen() -> None:
    deleted = pod(1, gone=True, deletion_time=at(19))
    cleaned = pod(0, deleting=True, deletion_time=at(49))
    job, _ = step(running_job(), observed(child(failed=True), cleaned, deleted), 20)

    assert job.status.failure is not None
    assert (job.status.failure.cause, job.status.failure.pod) == ("Killed", deleted.name)
    assert job.status.phase == "Restarting"


def test_a_job_that_failed_without_a_word_is_of_unknown_cause() -> None:
    job, _ = step(running_job(), observed(child(failed=True), *BOTH), 20)

    assert job.status.failure is not None
    assert job.status.failure.cause == "Unknown"


def test_a_lost_node_is_named() -> None:
    taken = pod(1, deleting=True, disruption="DeletionByTaintManager")
    job, _ = step(running_job(), observed(child(), pod(0), taken), 20)

    assert job.status.failure is not None
    assert (job.status.failure.cause, job.status.failure.node) == ("NodeLost", "node1")


def test_a_run_that_stands_still_is_a_hang() -> None:
    job = running_job(failurePolicy={"hangTimeoutSeconds": 30})
    seen = observed(child(), *BOTH, report(10, seconds=5))

    job, before = step(job, seen, 34)
    job, after = step(job, seen, 36)

    assert before.status.phase == "Running"
    assert before.requeue_after_s == pytest.approx(1.1, abs=0.2)
    assert after.status.failure is not None
    assert (after.status.failure.cause, after.status.phase) == ("Hang", "Restarting")


def test_a_restarted_operator_gives_the_pods_time_to_report_again() -> None:
    job = running_job(failurePolicy={"hangTimeoutSeconds": 30})
    job, _ = step(job, observed(child(), *BOTH, report(10, seconds=5)), 10)
    silent = observed(child(), *BOTH)

    restarted = replace(silent, operator_started_at=at(100))

    assert plan(job, restarted, now=at(110)).status.phase == "Running"
    assert plan(job, restarted, now=at(131)).status.phase == "Restarting"


def test_a_deleted_child_is_looked_for_before_it_counts_as_lost() -> None:
    decided = plan(running_job(), observed(), now=at(20))

    assert decided.confirm_absent == "job-a1"
    assert decided.status.phase == "Restarting"
    assert decided.create_attempt is None


def test_success_takes_the_artifact_from_the_termination_message_of_rank_0() -> None:
    text = (
        '{"result": {"artifact": {"uri": "/data/out/model", "format": "huggingface", '
        '"digest": "sha256:ab", "sizeBytes": 7}}}'
    )
    seen = observed(child(succeeded=True), ended(0, 0, message=text), ended(1, 0))
    job, decided = step(running_job(), seen, 99)

    assert job.status.artifact is not None
    assert (job.status.phase, job.status.artifact.uri) == ("Succeeded", "pvc://claim/out/model")
    assert ready(decided) == ("True", "Succeeded")


def test_a_finished_job_makes_nothing_again_when_its_children_are_gone() -> None:
    seen = observed(child(succeeded=True), ended(0, 0), ended(1, 0))
    job, _ = step(running_job(), seen, 99)

    decided = plan(job, Observed(), now=at(500))

    assert decided.status == job.status
    assert decided.create_attempt is None


def test_a_finished_job_is_deleted_at_its_ttl() -> None:
    seen = observed(child(succeeded=True), ended(0, 0), ended(1, 0))
    job, _ = step(running_job(ttlSecondsAfterFinished=60), seen, 100)

    assert plan(job, seen, now=at(130)).requeue_after_s == pytest.approx(30.1)
    assert plan(job, seen, now=at(161)).delete_job


def test_the_deadline_fails_the_job_and_stops_its_gang() -> None:
    job = running_job(activeDeadlineSeconds=60)
    seen = observed(child(), *BOTH)

    job, decided = step(job, seen, 61)

    assert (job.status.phase, decided.delete_children) == ("Failed", (child(),))
    assert job.status.failure is not None
    assert job.status.failure.cause == "Deadline"


def test_a_gang_that_can_not_start_gives_up_at_its_timeout_and_says_why() -> None:
    job, _ = step(make_job(failurePolicy={"pendingTimeoutSeconds": 60}), observed(), 0)
    text = 'persistentvolumeclaim "claim" not found'
    stuck = pod(
        0, running=False, phase="Pending", waiting_reason="Unschedulable", waiting_message=text
    )

    job, early = step(job, observed(child(), stuck), 10)
    _, late = step(job, observed(child(), stuck), 61)

    assert ready(early) == ("False", "VolumeClaimMissing")
    assert late.status.phase == "Failed"
    assert late.status.failure is not None
    assert "VolumeClaimMissing" in late.status.failure.message


def test_a_container_that_can_not_be_made_says_what_to_do() -> None:
    reason = "CreateContainerConfigError"
    waiting = pod(1, running=False, waiting_reason=reason, waiting_message='secret "s" not found')
    job, _ = step(make_job(), observed(), 0)
    _, decided = step(job, observed(child(), pod(0), waiting), 5)

    told = next(c.message for c in decided.status.conditions if c.type == "Ready")
    assert ready(decided) == ("False", "ContainerError")
    assert told.endswith('secret "s" not found; create what is missing or correct the spec')


def test_a_traceback_that_only_the_table_holds_is_the_message() -> None:
    message = (
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n=====\n"
        "Root Cause (first observed failure):\n[0]:\n  rank      : 3 (local_rank: 0)\n"
        "  exitcode  : 1 (pid: 9)\n  traceback : Traceback (most recent call last):\n"
        '    File "/app/train.py", line 3, in main\n      raise ValueError(text)\n'
        "  ValueError: no such dataset\n"
    )

    failure = find_root_cause((ended(message=message),), child_failed=True, processes=1)

    assert failure is not None
    assert (failure.cause, failure.rank) == ("UserError", 3)
    assert "ValueError: no such dataset" in failure.message

from prometheus_client import CollectorRegistry

from flagscale_operator.telemetry.metrics import Metrics


def value(registry: CollectorRegistry, sample: str, /, **labels: str) -> float | None:
    return registry.get_sample_value(sample, labels)


def test_names_are_those_of_controller_runtime_and_client_go() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1")

    metrics.added("TrainJob", 2)
    metrics.taken("TrainJob", 0.5, 1)
    metrics.retried("TrainJob")
    metrics.reconciled("TrainJob", "success", 0.1)

    for sample in ("workqueue_adds_total", "workqueue_depth", "workqueue_retries_total"):
        assert value(registry, sample, name="TrainJob") == 1
    assert value(registry, "workqueue_queue_duration_seconds_sum", name="TrainJob") == 0.5
    assert value(registry, "workqueue_work_duration_seconds_sum", name="TrainJob") == 0.1
    assert (
        value(
            registry, "controller_runtime_reconcile_total", controller="TrainJob", result="success"
        )
        == 1
    )


def test_errors_are_counted_apart() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1")

    metrics.reconciled("TrainJob", "success", 0.1)
    metrics.reconciled("TrainJob", "error", 0.1)

    assert (
        value(registry, "controller_runtime_reconcile_errors_total", controller="TrainJob") == 1.0
    )


def test_requests_events_posts_and_restarts_are_labelled() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1")

    metrics.api_request("get", "pods", "200", 0.01)
    metrics.watch_event("Pod", "ADDED")
    metrics.progress_post(422)
    metrics.restarted("Hang")
    metrics.leading("flagscale-operator", holds=True)
    metrics.loop_lag(0.25)

    requests = {"verb": "get", "resource": "pods", "code": "200"}
    assert value(registry, "kube_api_requests_total", **requests) == 1
    assert value(registry, "watch_events_total", kind="Pod", type="ADDED") == 1
    assert value(registry, "progress_posts_total", code="422") == 1
    assert value(registry, "flagscale_trainjob_restarts_total", cause="Hang") == 1
    assert value(registry, "leader_election_master_status", name="flagscale-operator") == 1
    assert value(registry, "event_loop_lag_seconds") == 0.25
    assert value(registry, "flagscale_build_info", version="1") == 1


def test_a_phase_without_jobs_is_not_reported_any_more() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1")

    metrics.phases("TrainJob", {"Running": 2})
    metrics.phases("InferenceService", {"Ready": 3})
    metrics.phases("TrainJob", {"Succeeded": 1})

    assert value(registry, "flagscale_trainjob_phase", phase="Running") is None
    assert value(registry, "flagscale_trainjob_phase", phase="Succeeded") == 1
    assert value(registry, "flagscale_inferenceservice_phase", phase="Ready") == 3

from prometheus_client import CollectorRegistry, generate_latest

from flagscale_workloads.serve.engine_metrics import NEUTRAL, EngineMetrics, read_aliases
from flagscale_workloads.serve.replicas import Replica, ReplicaSet
from support.scripted_engine import scripted_engine

EXPOSITION = """\
# TYPE flagscale_engine_running gauge
flagscale_engine_running{replica="a"} 2
flagscale_engine_running{replica="b"} 3
# TYPE flagscale_engine_kv_cache_usage_ratio gauge
flagscale_engine_kv_cache_usage_ratio{replica="a"} 0.75
flagscale_engine_kv_cache_usage_ratio{replica="b"} 0.5
"""


def test_counts_of_several_engines_are_added_up_and_shares_are_not() -> None:
    assert read_aliases(EXPOSITION, NEUTRAL) == {"running": 5, "kv_cache_usage": 0.75}


async def test_an_engine_that_is_started_again_has_no_series_of_its_former_life() -> None:
    replicas, registry = ReplicaSet(), CollectorRegistry()
    metrics = EngineMetrics(replicas, "/metrics", NEUTRAL, ("m", ""))
    registry.register(metrics)
    async with scripted_engine(metrics=EXPOSITION) as engine:
        first = Replica.at("r", "127.0.0.1", engine.port)
        replicas.add(first)
        await metrics.scrape(first)
        before = generate_latest(registry)

        replicas.remove("r")
        replicas.add(Replica.at("r", "127.0.0.1", engine.port))
        # What was asked of the former one and comes late is not the new one's.
        await metrics.scrape(first)

    assert b'flagscale_engine_running{model="m",replica="r",revision=""} 5.0' in before
    assert b'replica="r"' not in generate_latest(registry)

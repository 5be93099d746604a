from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.adapter import METRIC_KINDS, EngineConfigError, Placement
from flagscale_workloads.backends.simulator import SimulatorAdapter
from flagscale_workloads.inference.simulator.metrics import EngineCollector, exposition
from flagscale_workloads.inference.simulator.options import parse_options
from flagscale_workloads.inference.simulator.scheduler import Costs, Limits, Scheduler

ADAPTER = SimulatorAdapter()
PLACEMENT = Placement(Path("/model"), "tiny", 8001, "cpu", Path("/venv/bin/python"))


def engine(**fields: object) -> EngineSpec:
    return EngineSpec.model_validate({"name": "simulator", **fields})


def arguments(spec: EngineSpec) -> list[str]:
    return list(ADAPTER.launch(spec, PLACEMENT).command[3:])


def refusal(spec: EngineSpec) -> str:
    with pytest.raises(EngineConfigError) as raised:
        ADAPTER.launch(spec, PLACEMENT)
    return str(raised.value)


def test_the_process_gets_its_place_and_its_settings() -> None:
    spec = engine(contextLength=512, maxConcurrency=3, kvCacheTokens=1024, seed=7)
    assert ADAPTER.launch(spec, PLACEMENT).command[:3] == (
        "/venv/bin/python",
        "-m",
        "flagscale_workloads.inference.simulator",
    )
    options = parse_options(arguments(spec))
    assert (options.host, options.port, options.served_model_name) == ("127.0.0.1", 8001, "tiny")
    assert (options.context_length, options.seed) == (512, 7)
    assert (options.limits.max_running, options.limits.kv_cache_tokens) == (3, 1024)


def test_what_is_not_set_is_left_to_the_simulator() -> None:
    assert parse_options(arguments(engine())).limits == Limits()


def test_further_arguments_reach_the_process_under_either_spelling() -> None:
    options = parse_options(arguments(engine(extraArgs={"startup_s": 3, "fail-share": 0.5})))
    assert (options.startup_s, options.faults.fail_share) == (3, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"startup": 3},
            "engine.extraArgs.startup: no option of .*, got 3; did you mean startup-s",
        ),
        ({"zzz": True}, "no option of the simulator, got True; remove it"),
        ({"max-concurrency": 3}, "has a setting of its own, got 3; use engine.maxConcurrency"),
        ({"port": 80}, "is set by whoever starts it, got 80; remove it"),
        ({"fail-share": 2}, r"got 2; argument --fail-share: must be 0 to 1"),
        ({"hang": "some"}, "got some; argument --hang: invalid choice"),
    ],
)
def test_arguments_that_can_not_be_honoured_are_refused(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(EngineConfigError, match=message):
        ADAPTER.launch(engine(extraArgs=arguments), PLACEMENT)


def test_settings_of_real_engines_are_refused() -> None:
    assert "engine.tensorParallel: not supported, got 2" in refusal(engine(tensorParallel=2))
    assert "engine.dtype: not supported" in refusal(engine(dtype="float16"))


def test_every_neutral_metric_is_one_that_the_simulator_has() -> None:
    collector = EngineCollector(Scheduler(Costs(), Limits()).snapshot, model="tiny")
    families = text_string_to_metric_families(exposition(collector).decode())
    names = {sample.name for family in families for sample in family.samples}
    assert set(ADAPTER.metric_aliases) == set(METRIC_KINDS)
    assert set(ADAPTER.metric_aliases.values()) <= names

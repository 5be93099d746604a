"""Each real engine, started once per run by its adapter; a missing one fails."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from flagscale_api.v1alpha1.engine import EngineName, EngineSpec
from flagscale_workloads.backends.adapter import BackendAdapter, Feature, MetricKind, Placement
from flagscale_workloads.backends.registry import adapter_of
from support.engine_process import EngineProcess, free_port, start_engine
from support.engines import ENGINES, engine_python
from support.tiny_model import tiny_gguf, tiny_model

SERVED = "tiny"
CONTEXT = 2048
# A model of this size may go on with white space forever, which JSON allows.
NO_WHITESPACE = '{"backend": "xgrammar", "disable_any_whitespace": true}'
# With this parser a grammar holds calls to their schema; those that wrap calls in tags, such as
# hermes, let a model of this size write white space within them forever.
PARSER = "pythonic"
CASES: dict[EngineName, dict[str, object]] = {
    # Compiling the graph of a tiny model takes longer than all that is tested with it.
    "vllm": {"dtype": "float32", "maxConcurrency": 4, "kvCacheTokens": 8192,
             "extraArgs": {"enforce-eager": True, "tool-call-parser": PARSER,
                           "structured-outputs-config": NO_WHITESPACE}},
    "sglang": {"dtype": "float32", "maxConcurrency": 4, "kvCacheTokens": 8192,
               "extraArgs": {"constrained-json-disable-any-whitespace": True,
                             "tool-call-parser": PARSER}},
    "llamacpp": {},
    "transformers": {"dtype": "float32", "maxConcurrency": 4},
}  # fmt: skip
START_TIMEOUT_S = 400


@dataclass(frozen=True)
class Served:
    """A running engine and how to talk to it."""

    adapter: BackendAdapter
    spec: EngineSpec
    process: EngineProcess
    client: openai.OpenAI

    def claims(self, feature: Feature) -> bool:
        return feature in self.adapter.features(self.spec, device="cpu")

    def metric(self, kind: MetricKind) -> float:
        """Sum over the series of one neutral metric in a scrape of now."""
        assert self.adapter.metrics_path is not None
        name = self.adapter.metric_aliases[kind]
        _, text = self.process.get(self.adapter.metrics_path)
        samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
        values = [sample.value for sample in samples if sample.name == name]
        assert values, f"{name} is not in the scrape"
        return sum(values)


def spec_of(name: EngineName, **fields: object) -> EngineSpec:
    common = {"name": name, "device": "cpu", "contextLength": CONTEXT, "seed": 7}
    return EngineSpec.model_validate({**common, **CASES[name], **fields})


def start(name: EngineName, folder: Path, **fields: object) -> Served:
    adapter, spec, port = adapter_of(name), spec_of(name, **fields), free_port()
    model = tiny_gguf() if name == "llamacpp" else tiny_model()
    adapter.check_model(spec, model)
    python = engine_python(name) if name in ENGINES else Path(sys.executable)
    placement = Placement(model=model, served_name=SERVED, port=port, device="cpu", python=python)
    url = f"http://127.0.0.1:{port}"
    process = start_engine(adapter.launch(spec, placement), url=url, log=folder / f"{name}.log")
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300)
    return Served(adapter, spec, process, client)


@pytest.fixture(scope="session", params=CASES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """An engine that has generated a token; stopped with all that it started."""
    served = start(request.param, tmp_path_factory.mktemp(request.param))
    try:
        seconds = served.process.wait_for_token(SERVED, timeout_s=START_TIMEOUT_S)
        print(f"\n{request.param}: first token after {seconds:.1f} s")
        yield served
    finally:
        served.client.close()
        try:
            served.process.stop(grace_s=served.adapter.stop_grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            served.process.kill()

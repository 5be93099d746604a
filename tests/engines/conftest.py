"""Each engine, started once per run by its adapter; a missing one fails."""

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
from flagscale_workloads.backends.stored import stored_dtype
from flagscale_workloads.serve.first_token import smallest_request
from support.engine_process import EngineProcess, free_port, start_engine
from support.engines import ENGINES, engine_python
from support.tiny_model import tiny_gguf, tiny_model
from support.tiny_pipeline import write_tiny_pipeline

SERVED = "tiny"
CONTEXT = 2048
# A model of this size may go on with white space forever, which JSON allows.
NO_WHITESPACE = '{"backend": "xgrammar", "disable_any_whitespace": true}'
# With this parser a grammar holds calls to their schema; those that wrap calls in tags, such as
# hermes, let a model of this size write white space within them forever.
PARSER = "pythonic"
# Engines that write text. None is told a dtype: auto has to be what the model says.
CASES: dict[EngineName, dict[str, object]] = {
    # Compiling the graph of a tiny model takes longer than all that is tested with it.
    "vllm": {"maxConcurrency": 4, "kvCacheTokens": 8192,
             "extraArgs": {"enforce-eager": True, "tool-call-parser": PARSER,
                           "structured-outputs-config": NO_WHITESPACE}},
    "sglang": {"maxConcurrency": 4, "kvCacheTokens": 8192,
               "extraArgs": {"constrained-json-disable-any-whitespace": True,
                             "tool-call-parser": PARSER}},
    "llamacpp": {},
    "transformers": {"maxConcurrency": 4},
    "simulator": {"maxConcurrency": 4, "kvCacheTokens": 8192,
                  "extraArgs": {"answer-tokens": CONTEXT}},
}  # fmt: skip
PICTURES: dict[EngineName, dict[str, object]] = {"diffusers": {"maxConcurrency": 4}}
EVERY = (*CASES, *PICTURES)
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

    @property
    def smallest(self) -> tuple[str, bytes]:
        """Path and body of the smallest request that makes it compute."""
        return smallest_request(SERVED, self.adapter.capabilities_on("cpu"))

    def wait_ready(self) -> float:
        """Seconds until it has computed something."""
        path, body = self.smallest
        return self.process.wait_for_answer(path, body, timeout_s=START_TIMEOUT_S)

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
    common = {"name": name, "device": "cpu", "seed": 7}
    own = PICTURES[name] if name in PICTURES else {"contextLength": CONTEXT, **CASES[name]}
    return EngineSpec.model_validate({**common, **own, **fields})


def engines(*names: EngineName) -> pytest.MarkDecorator:
    """Run a test with these; without this mark `engine` is each one that writes."""
    return pytest.mark.parametrize("engine", names, indirect=True, scope="session")


def start(name: EngineName, folder: Path, **fields: object) -> Served:
    adapter, spec, port = adapter_of(name), spec_of(name, **fields), free_port()
    model = model_for(name, folder)
    adapter.check_model(spec, model)
    python = engine_python(name) if name in ENGINES else Path(sys.executable)
    placement = Placement(model, SERVED, port, "cpu", python, stored_dtype=stored_dtype(model))
    url = f"http://127.0.0.1:{port}"
    process = start_engine(adapter.launch(spec, placement), url=url, log=folder / f"{name}.log")
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300)
    return Served(adapter, spec, process, client)


def model_for(name: EngineName, folder: Path) -> Path:
    """A small model that the engine loads, written to a folder if it is not there yet."""
    if name == "llamacpp":
        return tiny_gguf()
    if name != "diffusers":
        return tiny_model()
    pipeline = folder / "pipeline"
    write_tiny_pipeline(pipeline)
    return pipeline


@pytest.fixture(scope="session", params=CASES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """An engine that has computed something; stopped with all that it started."""
    served = start(request.param, tmp_path_factory.mktemp(request.param))
    try:
        seconds = served.wait_ready()
        print(f"\n{request.param}: ready after {seconds:.1f} s")
        yield served
    finally:
        served.client.close()
        try:
            served.process.stop(grace_s=served.adapter.stop_grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            served.process.kill()

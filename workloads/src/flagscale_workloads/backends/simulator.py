"""The simulator as an engine: no model, no GPU, the same answers each time."""

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.adapter import (
    BackendAdapter,
    Capabilities,
    Launch,
    MetricKind,
    Placement,
)
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.inference.simulator.options import (
    OptionsError,
    option_names,
    parse_options,
)

_MODULE: Final = "flagscale_workloads.inference.simulator"
_PLACEMENT: Final = frozenset({"host", "port", "served-model-name", "help"})
# The neutral settings and the simulator's own names for them.
_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "context_length": "context-length",
        "max_concurrency": "max-concurrency",
        "kv_cache_tokens": "kv-cache-tokens",
        "seed": "seed",
    }
)


class SimulatorAdapter(BackendAdapter):
    """Starts `python -m flagscale_workloads.inference.simulator`."""

    name: ClassVar[str] = "simulator"
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=frozenset(
            {
                "chat",
                "completions",
                "embeddings",
                "rerank",
                "logprobs",
                "tool_calls",
                "json_schema",
                "stream_usage",
                "request_seed",
                "abort",
                "unknown_model",
                "malformed_body",
            }
        ),
        settings=frozenset({"context_length", "max_concurrency", "kv_cache_tokens", "seed"}),
        devices=frozenset({"cpu"}),
    )
    metric_aliases: ClassVar[Mapping[MetricKind, str]] = MappingProxyType(
        {
            "running": "simulator_requests_running",
            "waiting": "simulator_requests_waiting",
            "kv_cache_usage": "simulator_kv_cache_usage_ratio",
            "prompt_tokens": "simulator_prompt_tokens_total",
            "generated_tokens": "simulator_generated_tokens_total",
        }
    )

    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """The process for these settings; EngineConfigError for arguments it does not take."""
        self.check(engine, device=placement.device)
        place = (
            *("--host", placement.host),
            *("--port", str(placement.port)),
            *("--served-model-name", placement.served_name),
        )
        return Launch((str(placement.python), "-m", _MODULE, *place, *_all_settings(engine)))

    def check_extra_args(self, engine: EngineSpec) -> None:
        """Raise EngineConfigError for what the simulator's own parser refuses."""
        _all_settings(engine)


def _settings(engine: EngineSpec) -> Iterator[str]:
    for field, option in _SETTINGS.items():
        value = getattr(engine, field)
        if value is not None:
            yield from (f"--{option}", str(value))


def _all_settings(engine: EngineSpec) -> list[str]:
    """Neutral settings and extra arguments; each of the latter is parsed with those before it."""
    arguments = list(_settings(engine))
    anywhere = ["--port", "0", "--served-model-name", "any"]
    for name, value in engine.extra_args.items():
        arguments += _further(name, value, [*anywhere, *arguments])
    return arguments


def _further(name: str, value: object, before: list[str]) -> tuple[str, str]:
    """An argument by the simulator's own name, checked by the simulator's own parser."""
    where, option = f"engine.extraArgs.{name}", name.replace("_", "-")
    for field, taken in _SETTINGS.items():
        if option == taken:
            alias = EngineSpec.model_fields[field].alias or field
            raise EngineConfigError(
                f"{where}: has a setting of its own, got {value}; use engine.{alias}"
            )
    if option in _PLACEMENT:
        raise EngineConfigError(f"{where}: is set by whoever starts it, got {value}; remove it")
    free = option_names() - _PLACEMENT
    if option not in free:
        near = difflib.get_close_matches(option, sorted(free), n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it"
        raise EngineConfigError(f"{where}: no option of the simulator, got {value}; {remedy}")
    pair = (f"--{option}", str(value))
    try:
        parse_options([*before, *pair])
    except OptionsError as error:
        raise EngineConfigError(f"{where}: is refused, got {value}; {error}") from error
    return pair

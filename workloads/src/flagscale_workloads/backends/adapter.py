"""What every engine adapter is: a pure, typed launcher of a process that speaks OpenAI's HTTP."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

from flagscale_api.v1alpha1.engine import EngineSpec

Feature = Literal[
    "chat",
    "completions",
    "embeddings",
    "rerank",
    "images",
    "responses",
    "logprobs",
    "tool_calls",
    "json_schema",
]
Setting = Literal[
    "context_length",
    "max_concurrency",
    "dtype",
    "quantization",
    "tensor_parallel",
    "pipeline_parallel",
    "kv_cache_fraction",
    "kv_cache_tokens",
    "speculative",
    "seed",
]


class EngineConfigError(Exception):
    """A setting that this engine, version or device can't honour.

    The message has the house form: `engine.<field>: <what is wrong>, got <value>; <what to do>`.
    """


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, so that what it can't is refused before it starts."""

    features: frozenset[Feature]
    settings: frozenset[Setting]
    devices: frozenset[Literal["cpu", "cuda"]]
    dtypes: frozenset[str] = frozenset({"auto", "bfloat16", "float16", "float32"})
    quantizations: frozenset[str] = frozenset({"none"})


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one engine process listens and what it may use."""

    model: Path
    """Folder (or GGUF file) with the model."""
    served_name: str
    port: int
    device: Literal["cpu", "cuda"]
    python: Path
    """Interpreter of the environment that the engine is installed in."""
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start; never passed through a shell."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the parent's environment."""


MetricKind = Literal[
    "running",
    "waiting",
    "kv_cache_usage",
    "prompt_tokens",
    "generated_tokens",
]
METRIC_KINDS: Final[tuple[MetricKind, ...]] = (
    "running",
    "waiting",
    "kv_cache_usage",
    "prompt_tokens",
    "generated_tokens",
)


class BackendAdapter(ABC):
    """One engine: its capabilities, its arguments, its probes and its metric names."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    metric_aliases: ClassVar[Mapping[MetricKind, str]] = {}
    """The engine's own name of each neutral metric; what it does not measure is left out."""
    metrics_path: ClassVar[str | None] = "/metrics"
    health_path: ClassVar[str] = "/health"
    stop_grace_s: ClassVar[float] = 20.0
    """Seconds between SIGTERM and SIGKILL."""

    def check(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> None:
        """Raise EngineConfigError for the first setting that this engine can't honour."""
        can = self.capabilities
        defaults = EngineSpec(name=engine.name)
        if device not in can.devices:
            raise _refusal("device", device, f"{self.name} runs on {_any_of(can.devices)}")
        for setting in sorted(engine.model_fields_set - {"name", "device", "extra_args"}):
            value = getattr(engine, setting)
            if setting not in can.settings and value != getattr(defaults, setting):
                allowed = _any_of(frozenset(map(_camel, can.settings)))
                raise _refusal(_camel(setting), value, f"{self.name} has {allowed}; remove it")
        for setting, allowed_values in (("dtype", can.dtypes), ("quantization", can.quantizations)):
            value = getattr(engine, setting)
            if value not in allowed_values:
                raise _refusal(setting, value, f"{self.name} takes {_any_of(allowed_values)}")

    @abstractmethod
    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """The process for these settings; pure. Raises EngineConfigError."""


def _camel(name: str) -> str:
    return EngineSpec.model_fields[name].alias or name


def _any_of(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "nothing of the kind"


def _refusal(name: str, value: object, remedy: str) -> EngineConfigError:
    return EngineConfigError(f"engine.{name}: not supported, got {value}; {remedy}")

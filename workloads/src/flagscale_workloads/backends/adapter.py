"""What every engine adapter is: a pure, typed launcher of a process that speaks OpenAI's HTTP."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.arguments import NO_ARGUMENTS, ArgumentTable
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.extra import check_extra
from flagscale_workloads.backends.stored import check_folder, check_stored

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
    "media_urls",
    "stream_usage",
    "request_seed",
    "abort",
    "unknown_model",
    "malformed_body",
]
"""The first ten: what a client may ask for. Then what a gateway must do itself where it lacks:

media_urls: pictures behind an address are fetched, from hosts only that the settings name.
stream_usage: `stream_options.include_usage` is obeyed; request_seed: a request's seed decides its
text; abort: a request whose client is gone stops, streamed or not; unknown_model: 404 for another
model's name; malformed_body: 4xx for a body that is no JSON.
"""
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
    engine_version: str | None = None
    """Version installed there (`versions.installed_version`); None: the one of the snapshot."""
    stored_dtype: str | None = None
    """Type that the model says its weights have (`stored.stored_dtype`); None: it does not say."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start; never passed through a shell."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the parent's environment."""
    unset: frozenset[str] = frozenset()
    """Taken out of the parent's environment: each would overrule the command."""
    patches: tuple[str, ...] = ()
    """Changes to the engine's own code that this start makes; for the log."""

    def child_environment(self, parent: Mapping[str, str]) -> dict[str, str]:
        """All variables of the process, started by a process with these."""
        kept = {name: value for name, value in parent.items() if name not in self.unset}
        return {**kept, **self.environment}


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
    distributions: ClassVar[tuple[str, ...]] = ()
    """Python packages of which one is the engine; empty: it is part of this one."""
    reads_folders: ClassVar[bool] = False
    """Whether its models are folders of Hugging Face, with a configuration in them."""
    metric_aliases: ClassVar[Mapping[MetricKind, str]] = {}
    """The engine's own name of each neutral metric; what it does not measure is left out."""
    metrics_path: ClassVar[str | None] = "/metrics"
    health_path: ClassVar[str] = "/health"
    stop_grace_s: ClassVar[float] = 20.0
    """Seconds between SIGTERM and SIGKILL."""
    arguments: ClassVar[ArgumentTable] = NO_ARGUMENTS
    """What the engine's own parser knows: the names that extraArgs may use."""
    parser_environment: ClassVar[Mapping[str, str]] = {}
    """Variables without which the engine, or its parser alone, does not load as it should."""
    unset: ClassVar[frozenset[str]] = frozenset()
    """Variables that the engine prefers to its arguments."""
    reserved: ClassVar[Mapping[str, str]] = {}
    """Arguments (by the parser's destination) that extraArgs must not set, and what to do."""

    def capabilities_on(self, device: Literal["cpu", "cuda"]) -> Capabilities:
        """What it can do on a device."""
        return self.capabilities

    def features(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> frozenset[Feature]:
        """What clients of an engine with these settings may ask for; a part of the capabilities."""
        del engine  # not every engine's features depend on its settings
        return self.capabilities_on(device).features

    def check(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> None:
        """Raise EngineConfigError for the first setting that this engine can't honour."""
        can = self.capabilities_on(device)
        defaults = EngineSpec(name=engine.name)
        if device not in can.devices:
            raise refusal("device", device, f"{self.name} runs on {_any_of(can.devices)}")
        for setting in sorted(engine.model_fields_set - {"name", "device", "extra_args"}):
            value = getattr(engine, setting)
            if setting not in can.settings and value != getattr(defaults, setting):
                allowed = _any_of(frozenset(map(camel, can.settings)))
                raise refusal(camel(setting), value, f"{self.name} has {allowed}; remove it")
        for setting, allowed_values in (("dtype", can.dtypes), ("quantization", can.quantizations)):
            value = getattr(engine, setting)
            if value not in allowed_values:
                raise refusal(setting, value, f"{self.name} takes {_any_of(allowed_values)}")
        self.check_extra_args(engine)

    def check_extra_args(self, engine: EngineSpec) -> None:
        """Raise EngineConfigError for an argument that the engine's own parser refuses."""
        check_extra(engine.extra_args, table=self.arguments, reserved=self.reserved)

    def check_model(self, engine: EngineSpec, model: Path) -> None:
        """Raise EngineConfigError when the model's files are not what the settings say; reads."""
        if self.reads_folders:
            check_folder(model)
        check_stored(engine, model)

    def with_stored_dtype(self, engine: EngineSpec, placement: Placement) -> EngineSpec:
        """The settings with `dtype: auto` made what the model says, for engines that guess on CPUs.

        Raises EngineConfigError when the engine can't compute in that type.
        """
        stored = placement.stored_dtype
        if placement.device != "cpu" or engine.dtype != "auto" or stored is None:
            return engine
        can = self.capabilities_on("cpu").dtypes
        if stored not in can:
            remedy = f"{self.name} takes {_any_of(can - {'auto'})} here; choose one"
            raise refusal("dtype", f"auto, which is {stored} for this model", remedy)
        return engine.model_copy(update={"dtype": stored})

    @abstractmethod
    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """The process for these settings; pure. Raises EngineConfigError."""


def camel(name: str) -> str:
    """A field's name as users write it."""
    return EngineSpec.model_fields[name].alias or name


def _any_of(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "nothing of the kind"


def refusal(name: str, value: object, remedy: str) -> EngineConfigError:
    """The error for a setting that can't be honoured."""
    return EngineConfigError(f"engine.{name}: not supported, got {value}; {remedy}")

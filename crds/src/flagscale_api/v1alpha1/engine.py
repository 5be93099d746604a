"""Which engine serves a model, in words that mean the same for every engine."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.v1alpha1.common import AbsolutePath

EngineName = Literal["vllm", "sglang", "llamacpp", "transformers", "diffusers", "simulator"]
Device = Literal["auto", "cpu", "cuda"]
ArgumentName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", min_length=1, max_length=64)
]


class SpeculativeSpec(ApiModel):
    """Draft tokens that the model only has to check."""

    method: Literal["ngram", "draft"] = Field(
        description="ngram: what followed the same words in the prompt; draft: a small model."
    )
    draft_model: AbsolutePath | None = Field(
        default=None, description="Folder of the small model; for method draft only."
    )
    tokens: int = Field(default=4, ge=1, le=64, description="Draft tokens per step.")

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "(self.method == 'draft') == has(self.draftModel)",
            "spec.engine.speculative.draftModel: is needed for method draft, and for no other",
            ".draftModel",
            holds=lambda spec: (spec.method == "draft") == (spec.draft_model is not None),
        ),
    )


class EngineChoice(ApiModel):
    """An engine, named or not, and its settings; one that it can't honour is refused."""

    name: Literal["auto", EngineName] = Field(
        default="auto",
        description="The engine. auto: llamacpp where spec.model.file names a GGUF file; else the "
        "first of vllm, sglang and transformers that offers every setting asked for, and of those "
        "that do, one that computes on a GPU if spec.resources.limits has one. A service that has "
        "an engine keeps it until its spec asks for what that can't do. status.engine tells it.",
    )
    device: Device = Field(
        default="auto", description="Where it computes; auto: the GPU where there is one."
    )
    context_length: int | None = Field(
        default=None,
        ge=16,
        le=16_777_216,
        description="Tokens of prompt and answer together, per request; unset: the model's own.",
    )
    max_concurrency: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Requests computed at the same time; unset: the engine's own default.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        default="auto",
        description="Arithmetic type of the weights; auto: as the model says, but float32 with "
        "diffusers, and 16 bits for a float32 model with vllm and sglang on a GPU.",
    )
    quantization: Literal["none", "fp8", "awq", "gptq", "int8", "q8_0", "f16"] = Field(
        default="none",
        description="How the weights are stored; must be what the files hold.",
    )
    tensor_parallel: int = Field(
        default=1, ge=1, le=1024, description="Devices that share each layer."
    )
    pipeline_parallel: int = Field(
        default=1, ge=1, le=1024, description="Groups of devices that share the layers."
    )
    kv_cache_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the device's memory for weights and KV cache together.",
    )
    kv_cache_tokens: int | None = Field(
        default=None, ge=16, le=1 << 31, description="Tokens that the KV cache holds."
    )
    speculative: SpeculativeSpec | None = Field(
        default=None, description="Speculative decoding; unset: none."
    )
    seed: int = Field(
        default=0, ge=0, le=2_147_483_647, description="Seed of requests that bring none."
    )
    extra_args: dict[ArgumentName, str | int | float | bool] = Field(
        default_factory=dict,
        max_length=64,
        description="Further arguments by the engine's own names; checked against its parser.",
    )


class EngineSpec(EngineChoice):
    """An engine and its settings; a setting the engine can't honour is refused, never ignored."""

    name: EngineName = Field(description="The engine.")

"""FlagScale's own trainer: model, data, schedule, checkpoints, output."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.v1alpha1.common import AbsolutePath


class ModelSpec(ApiModel):
    """A Llama-family decoder, initialised at random."""

    hidden_size: int = Field(default=256, ge=8, le=65536, description="Width of the residual.")
    intermediate_size: int = Field(default=704, ge=8, le=262144, description="Width of the MLP.")
    layers: int = Field(default=6, ge=1, le=512, description="Number of decoder layers.")
    attention_heads: int = Field(default=8, ge=1, le=512, description="Query heads per layer.")
    key_value_heads: int = Field(
        default=4, ge=1, le=512, description="Key and value heads per layer; divides the others."
    )
    rope_theta: float = Field(
        default=10000.0, gt=0, le=1e9, description="Base of the rotary position embedding."
    )
    tie_word_embeddings: bool = Field(
        default=True, description="Use the input embedding as the output layer."
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "self.hiddenSize % self.attentionHeads == 0",
            "spec.trainer.model.hiddenSize: must be a multiple of attentionHeads",
            ".hiddenSize",
        ),
        CelRule(
            "self.attentionHeads % self.keyValueHeads == 0",
            "spec.trainer.model.attentionHeads: must be a multiple of keyValueHeads",
            ".attentionHeads",
        ),
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSpec":
        if self.hidden_size % self.attention_heads:
            msg = (
                "spec.trainer.model.hiddenSize: must be a multiple of attentionHeads, got "
                f"{self.hidden_size} and {self.attention_heads}"
            )
            raise ValueError(msg)
        if self.attention_heads % self.key_value_heads:
            msg = (
                "spec.trainer.model.attentionHeads: must be a multiple of keyValueHeads, got "
                f"{self.attention_heads} and {self.key_value_heads}"
            )
            raise ValueError(msg)
        return self


class TokenizerSpec(ApiModel):
    """A byte-level BPE trained on the data, or a tokenizer that is given."""

    vocab_size: int = Field(
        default=4096, ge=300, le=262144, description="Entries of the tokenizer trained on the data."
    )
    path: AbsolutePath | None = Field(
        default=None,
        description="Folder of a Hugging Face tokenizer on a volume; vocabSize is then ignored.",
    )


class DataSpec(ApiModel):
    """Text to learn from."""

    path: AbsolutePath = Field(
        description="File, folder or glob on one of spec.volumes, for example /data/*.txt."
    )
    format: Literal["text", "jsonl"] = Field(
        default="text", description="Plain UTF-8 text, or one JSON object per line."
    )
    text_field: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(
        default="text", description="Field of each JSON object that holds the text."
    )
    sequence_length: int = Field(
        default=256, ge=8, le=131072, description="Tokens per training sequence."
    )
    validation_fraction: float = Field(
        default=0.02, ge=0, le=0.5, description="Share of the sequences kept for validation."
    )


class ScheduleSpec(ApiModel):
    """Steps, batches and the learning rate."""

    steps: int = Field(default=200, ge=1, le=100_000_000, description="Optimizer steps.")
    global_batch_size: int = Field(
        default=16, ge=1, le=1_048_576, description="Sequences per optimizer step, over all ranks."
    )
    micro_batch_size: int = Field(
        default=8, ge=1, le=65536, description="Sequences per rank in one forward pass."
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate.")
    min_learning_rate: float = Field(
        default=1e-4, ge=0, le=1, description="Learning rate at the last step (cosine decay)."
    )
    warmup_steps: int = Field(
        default=20, ge=0, le=100_000_000, description="Steps of linear warm-up."
    )
    weight_decay: float = Field(default=0.1, ge=0, le=10, description="AdamW weight decay.")
    gradient_clip: float = Field(
        default=1.0, gt=0, le=1000, description="Largest gradient norm (L2)."
    )
    seed: int = Field(
        default=0, ge=0, le=2_147_483_647, description="Seed of weights, data order and dropout."
    )
    eval_interval: int = Field(
        default=50, ge=1, le=100_000_000, description="Steps between validations."
    )
    log_interval: int = Field(
        default=5, ge=1, le=1_000_000, description="Steps between progress reports."
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "self.warmupSteps <= self.steps",
            "spec.trainer.schedule.warmupSteps: must be at most steps",
            ".warmupSteps",
        ),
        CelRule(
            "self.minLearningRate <= self.learningRate",
            "spec.trainer.schedule.minLearningRate: must be at most learningRate",
            ".minLearningRate",
        ),
        CelRule(
            "self.globalBatchSize % self.microBatchSize == 0",
            "spec.trainer.schedule.globalBatchSize: must be a multiple of microBatchSize",
            ".globalBatchSize",
        ),
    )

    @model_validator(mode="after")
    def _consistent(self) -> "ScheduleSpec":
        where = "spec.trainer.schedule"
        if self.warmup_steps > self.steps:
            msg = f"{where}.warmupSteps: must be at most steps, got {self.warmup_steps}"
            raise ValueError(f"{msg} and {self.steps}")
        if self.min_learning_rate > self.learning_rate:
            msg = f"{where}.minLearningRate: must be at most learningRate, got"
            raise ValueError(f"{msg} {self.min_learning_rate} and {self.learning_rate}")
        if self.global_batch_size % self.micro_batch_size:
            msg = f"{where}.globalBatchSize: must be a multiple of microBatchSize, got"
            raise ValueError(f"{msg} {self.global_batch_size} and {self.micro_batch_size}")
        return self


class CheckpointSpec(ApiModel):
    """When the state of training is saved, under <output.path>/checkpoints."""

    interval_steps: int = Field(
        default=50, ge=1, le=100_000_000, description="Steps between checkpoints."
    )
    keep: int = Field(default=2, ge=1, le=1000, description="Newest checkpoints to keep.")


class OutputSpec(ApiModel):
    """Where everything that training makes is written."""

    path: AbsolutePath = Field(
        description="Folder on a writable volume: checkpoints, cache, metrics and the model."
    )
    gguf: Literal["none", "f16", "q8_0"] = Field(
        default="none",
        description="Also write the model as model/model-<this>.gguf for llama.cpp; q8_0: 8 bits.",
    )


class TrainerSpec(ApiModel):
    """One training run from text to a Hugging Face model."""

    model: ModelSpec = Field(default_factory=ModelSpec, description="The model to train.")
    tokenizer: TokenizerSpec = Field(
        default_factory=TokenizerSpec, description="How text becomes tokens."
    )
    data: DataSpec = Field(description="Text to learn from.")
    schedule: ScheduleSpec = Field(
        default_factory=ScheduleSpec, description="Steps, batches, learning rate."
    )
    checkpoint: CheckpointSpec = Field(
        default_factory=CheckpointSpec, description="When state is saved."
    )
    output: OutputSpec = Field(description="Where results go.")
    precision: Literal["bf16", "fp32"] = Field(
        default="fp32", description="Arithmetic of the forward pass; weights stay fp32."
    )
    communication: Literal["auto", "gloo", "nccl"] = Field(
        default="auto", description="Collective backend; auto: nccl with CUDA, else gloo."
    )

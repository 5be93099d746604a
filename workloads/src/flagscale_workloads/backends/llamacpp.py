"""llama.cpp: the server of llama-cpp-python."""

from typing import ClassVar, Final, Literal

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends import llamacpp_limit
from flagscale_workloads.backends.adapter import (
    BackendAdapter,
    Capabilities,
    Launch,
    Placement,
    refusal,
)
from flagscale_workloads.backends.arguments import ArgumentTable, read_table
from flagscale_workloads.backends.command import OFFLINE, option
from flagscale_workloads.backends.extra import extra_arguments
from flagscale_workloads.backends.reserved import OURS, instead

# The server's default is 2048 tokens; 0 means the model's own length.
MODELS_OWN: Final = 0


class LlamaCppAdapter(BackendAdapter):
    """llama.cpp on CPUs, from a GGUF file.

    One request is computed at a time and others wait for it, so a context is never shared between
    slots: contextLength is the length of every request. The server measures nothing, tells no
    usage in a stream, answers any model name, and can't stop a request that isn't streamed.
    `tool_calls` means a named tool, which a grammar enforces.
    """

    name: ClassVar[str] = "llamacpp"
    distributions: ClassVar[tuple[str, ...]] = ("llama-cpp-python",)
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=frozenset({"chat", "completions", "logprobs", "tool_calls", "request_seed"}),
        settings=frozenset(
            {"context_length", "max_concurrency", "quantization", "speculative", "seed"}
        ),
        devices=frozenset({"cpu"}),
        dtypes=frozenset({"auto"}),
        quantizations=frozenset({"none", "f16", "q8_0"}),
    )
    metrics_path: ClassVar[str | None] = None
    # Everything below /v1, the list of models too, waits for the running request.
    health_path: ClassVar[str] = "/openapi.json"
    unset: ClassVar[frozenset[str]] = frozenset({"CONFIG_FILE"})
    arguments: ClassVar[ArgumentTable] = read_table("llamacpp")
    reserved: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("model", "model_alias"), instead("model")),
        **dict.fromkeys(("host", "port", "api_key", "config_file", "root_path"), OURS),
        **dict.fromkeys(("ssl_keyfile", "ssl_certfile"), OURS),
        **dict.fromkeys(("hf_model_repo_id", "hf_pretrained_model_name_or_path"), OURS),
        "interrupt_requests": OURS,
        "verbose": OURS,
        "n_ctx": instead("contextLength"),
        "seed": instead("seed"),
        "draft_model": instead("speculative"),
        "draft_model_num_pred_tokens": instead("speculative"),
        "n_gpu_layers": instead("device"),
        # Log-probabilities need them.
        "logits_all": OURS,
        # It turns the server into one that only embeds.
        "embedding": OURS,
    }

    def check(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> None:
        """Raise EngineConfigError for the first setting that llama.cpp can't honour."""
        super().check(engine, device=device)
        if engine.max_concurrency not in (None, 1):
            remedy = "llamacpp computes one request at a time; use 1 and more replicas"
            raise refusal("maxConcurrency", engine.max_concurrency, remedy)
        if engine.speculative is not None and engine.speculative.method != "ngram":
            remedy = "llamacpp drafts from the prompt only; use ngram"
            raise refusal("speculative.method", engine.speculative.method, remedy)

    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """The server for these settings. Raises EngineConfigError."""
        self.check(engine, device=placement.device)
        version = placement.engine_version or self.arguments.version
        bounded = version in llamacpp_limit.CHECKED
        command = (
            str(placement.python),
            "-m",
            llamacpp_limit.MODULE if bounded else llamacpp_limit.PLAIN_MODULE,
            *option("--model", placement.model),
            *option("--model_alias", placement.served_name),
            *option("--host", placement.host),
            *option("--port", placement.port),
            *option("--n_ctx", engine.context_length or MODELS_OWN),
            *option("--seed", engine.seed),
            # By default a request that comes in ends the one that is being streamed.
            *option("--interrupt_requests", "false"),
            *option("--verbose", "false"),
            *_speculative(engine),
            *extra_arguments(engine.extra_args, table=self.arguments),
        )
        environment = {**OFFLINE, **_address(placement)}
        if not bounded:
            return Launch(command, environment, self.unset)
        environment["PYTHONPATH"] = str(llamacpp_limit.OVERLAY)
        patch = llamacpp_limit.patch_name(version)
        return Launch(command, environment, self.unset, patches=(patch,))


def _speculative(engine: EngineSpec) -> tuple[str, ...]:
    if engine.speculative is None:
        return ()
    return (
        *option("--draft_model", "prompt-lookup-decoding"),
        *option("--draft_model_num_pred_tokens", engine.speculative.tokens),
    )


def _address(placement: Placement) -> dict[str, str]:
    # The server prefers these two variables to its arguments, and a pod may well have them.
    return {"HOST": placement.host, "PORT": str(placement.port)}

"""What transformers and diffusers share: our own server, `flagscale_workloads.inference`."""

from typing import Final, Literal

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.adapter import Launch, Placement
from flagscale_workloads.backends.arguments import Argument, ArgumentTable
from flagscale_workloads.backends.command import OFFLINE, option
from flagscale_workloads.backends.extra import extra_arguments

# The arguments that no neutral field and no placement sets.
ARGUMENTS: Final = ArgumentTable(
    "inference",
    "",
    {
        "max_waiting": Argument("max_waiting", ("--max-waiting",), "int"),
        "stop_grace": Argument("stop_grace", ("--stop-grace",), "float"),
    },
)
Loader = Literal["transformers", "diffusers"]


def inference_launch(loader: Loader, engine: EngineSpec, placement: Placement) -> Launch:
    """The process for settings that the adapter has checked."""
    command = (
        str(placement.python),
        "-m",
        "flagscale_workloads.inference",
        *option("--loader", loader),
        *option("--model", placement.model),
        *option("--served-model-name", placement.served_name),
        *option("--host", placement.host),
        *option("--port", placement.port),
        *option("--device", placement.device),
        *option("--dtype", engine.dtype),
        *option("--max-batch", engine.max_concurrency),
        *option("--context-length", engine.context_length),
        *option("--seed", engine.seed),
        *extra_arguments(engine.extra_args, table=ARGUMENTS),
    )
    return Launch(command, OFFLINE)

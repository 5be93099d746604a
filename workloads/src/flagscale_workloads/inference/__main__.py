"""`python -m flagscale_workloads.inference`: one model behind OpenAI's HTTP."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="flagscale_workloads.inference", description=__doc__)
    made.add_argument("--loader", choices=("transformers", "diffusers"), required=True)
    made.add_argument("--model", type=Path, required=True, help="folder of the model")
    made.add_argument("--served-model-name", required=True, help="name that clients ask for")
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=_natural, default=8000, help="0: any free one")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    made.add_argument("--dtype", choices=("auto", "float32", "float16", "bfloat16"), default="auto")
    made.add_argument("--max-batch", type=_positive, default=16, help="computed at once")
    made.add_argument("--max-waiting", type=_positive, default=256, help="waiting beyond those")
    made.add_argument("--context-length", type=_positive, help="tokens; unset: the model's own")
    made.add_argument("--seed", type=_natural, default=0, help="of requests that bring none")
    made.add_argument("--stop-grace", type=float, default=15.0, help="seconds after SIGTERM")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after SIGTERM; 1: the log says why it can't serve; 2: wrong arguments."""
    options = parser().parse_args(arguments)
    # Until the server handles it there is nothing to finish.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        listener = socket.create_server((options.host, options.port), backlog=2048)
    except OSError as error:
        address = f"{options.host}:{options.port}"
        print(f"port: can't listen, got {address} ({error}); use another", file=sys.stderr)
        return 1
    print(f"listening on http://{options.host}:{listener.getsockname()[1]}", flush=True)
    code = asyncio.run(_serve(options, listener))
    # A thread may still be loading; interpreters that end while torch works crash.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _serve(options: argparse.Namespace, listener: socket.socket) -> int:
    # Seconds of imports: only now, when the port answers to connections.
    import torch
    from transformers.utils import logging as transformers_logging

    from flagscale_workloads.inference.engine import InferenceEngine
    from flagscale_workloads.inference.folder import Settings
    from flagscale_workloads.inference.server import serve
    from flagscale_workloads.train.ranks import threads

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(threads(os.environ))
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = Settings(
        loader=options.loader,
        model=options.model,
        served_name=options.served_model_name,
        device=device,
        dtype=options.dtype,
        max_batch=options.max_batch,
        max_waiting=options.max_waiting,
        context_length=options.context_length,
        seed=options.seed,
    )
    engine = InferenceEngine(settings)
    return await serve(engine, listener=listener, grace_s=options.stop_grace)


def _natural(text: str) -> int:
    return _at_least(text, 0)


def _positive(text: str) -> int:
    return _at_least(text, 1)


def _at_least(text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"no whole number from {least}, got {text}; correct it")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

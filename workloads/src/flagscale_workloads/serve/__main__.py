"""`python -m flagscale_workloads.serve CONFIG`: serve one model on this machine."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final, Literal

import uvloop

from flagscale_api.runtime.serve import ServeConfig
from flagscale_workloads.backends.adapter import BackendAdapter
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.backends.versions import installed_version
from flagscale_workloads.serve.api_keys import KeysFileError
from flagscale_workloads.serve.config_file import ConfigFileError, read_config
from flagscale_workloads.serve.model_digest import ModelDigestError, check_digest
from flagscale_workloads.serve.processes import EngineExitedError
from flagscale_workloads.serve.service import DoorError, ServeEngine

_log = logging.getLogger("flagscale.serve")
GPU: Final = Path("/dev/nvidia0")
"""What the driver shows of the first one."""


_TOLD: Final = (
    ConfigFileError,
    DoorError,
    EngineConfigError,
    EngineExitedError,
    KeysFileError,
    ModelDigestError,
)


def find_device(config: ServeConfig, gpu: Path = GPU) -> Literal["cpu", "cuda"]:
    """The device asked for; for auto, the GPU where there is one. Raises ConfigFileError."""
    found = gpu.exists()
    if config.engine.device == "cuda" and not found:
        remedy = "ask for nvidia.com/gpu in spec.resources.limits, or use auto or cpu"
        raise ConfigFileError(f"engine.device: there is no GPU here, got cuda; {remedy}")
    if config.engine.device != "auto":
        return config.engine.device
    return "cuda" if found else "cpu"


def check_installed(config: ServeConfig, adapter: BackendAdapter, python: Path) -> None:
    """Raise one of this program's errors where model, interpreter or engine is not as it should."""
    model = Path(config.model.path)
    for field, path in (("model.path", model), ("processes.python", python)):
        if not path.exists():
            raise ConfigFileError(f"{field}: does not exist, got {path}; correct it")
    if not os.access(python, os.X_OK):
        msg = f"processes.python: can't be run, got {python}; name a Python interpreter"
        raise ConfigFileError(msg)
    if adapter.distributions and not installed_version(python, *adapter.distributions):
        wanted = " or ".join(adapter.distributions)
        msg = f"processes.python: has no {wanted}, got {python}; name the engine's environment"
        raise ConfigFileError(msg)
    if config.model.digest:
        check_digest(model, config.model.digest)
    adapter.check_model(config.engine, model)


async def serve(config: ServeConfig) -> None:
    """Run until SIGTERM or SIGINT. Raises one of this program's errors."""
    device = find_device(config)
    adapter = adapter_of(config.engine.name)
    adapter.check(config.engine, device=device)
    python = Path(config.processes.python or sys.executable)
    if not config.discovery:
        check_installed(config, adapter, python)
    service = ServeEngine(config, adapter, device=device, python=python, environ=os.environ)
    main = asyncio.create_task(_until_stopped(service, config))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, main.cancel)
    try:
        await main
    except asyncio.CancelledError:
        _log.info("stopping: running requests may end")
    finally:
        await service.stop()
    _log.info("stopped")


async def _until_stopped(service: ServeEngine, config: ServeConfig) -> None:
    port = await service.start_service()
    door = f"http://{config.gateway.host}:{port}/v1"
    _log.info("%s: loading %s", config.model.name, config.model.path)
    await service.deploy_model()
    _log.info("%s: ready at %s", config.model.name, door)
    await service.run()


def main() -> int:
    """0 after a clean stop; 1 with one sentence when it can't start or go on."""
    parser = argparse.ArgumentParser(prog="flagscale_workloads.serve", description=__doc__)
    parser.add_argument("config", type=Path, help="YAML or JSON file with a ServeConfig")
    parser.add_argument("--verbose", action="store_true", help="show the engines' logs, too")
    arguments = parser.parse_args()
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format="[serve] %(message)s", stream=sys.stderr)
    try:
        uvloop.run(serve(read_config(arguments.config)))
    except _TOLD as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - whoever runs it is no reader of tracebacks
        _log.debug("failed", exc_info=error)
        told = f"got {type(error).__name__}: {error}; run it with --verbose and report what it says"
        print(f"serve: an error of its own, {told}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`torchrun -m flagscale_workloads.train`: one rank of the run in FLAGSCALE_TRAIN_CONFIG."""

import logging
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from flagscale_api.runtime.train import TrainRunConfig
from flagscale_workloads.train.errors import TrainError, write_error_file
from flagscale_workloads.train.signals import Termination

CONFIG = "FLAGSCALE_TRAIN_CONFIG"


def read_config(environ: Mapping[str, str]) -> TrainRunConfig:
    """The run; TrainError naming what is wrong with its file."""
    path = environ.get(CONFIG, "")
    try:
        return TrainRunConfig.model_validate_json(Path(path).read_text())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, UnicodeDecodeError) as error:
        reason = str(error)
    msg = f"{CONFIG}: not a valid run, got {path or 'nothing'} ({reason}); correct the TrainJob"
    raise TrainError("InvalidSpec", msg)


def run(environ: Mapping[str, str]) -> int:
    """Train to the end; the exit code."""
    termination = Termination()
    termination.install()
    config = read_config(environ)
    # Seconds of imports: only now, when SIGTERM is handled and the configuration is known good.
    from flagscale_workloads.train import ranks
    from flagscale_workloads.train.loop import Run
    from flagscale_workloads.train.progress import Reporter

    group = ranks.join(config.trainer.communication, environ=environ)
    reporter = Reporter(environ if group.first else {})
    try:
        code = Run(config, ranks=group, reporter=reporter, termination=termination).train(environ)
    finally:
        reporter.close()
    ranks.leave()
    return code


def main() -> int:
    """Exit code 0: done; 143: stopped after a checkpoint; 1: failed, the error file says why."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        return run(os.environ)
    except Exception as error:  # noqa: BLE001 - whatever it is, the operator must learn of it
        write_error_file(error, rank=int(os.environ.get("RANK", "0")))
        if isinstance(error, TrainError):
            print(f"{error.cause}: {error}", file=sys.stderr, flush=True)
        else:
            traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main())

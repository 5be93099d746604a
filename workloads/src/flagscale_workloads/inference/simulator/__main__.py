"""`python -m flagscale_workloads.inference.simulator --port P --served-model-name NAME`."""

import signal
import sys
from types import FrameType

import uvloop

from flagscale_workloads.inference.simulator.options import PROGRAM, OptionsError, parse_options


def main() -> int:
    """Exit code 0: ended by SIGTERM; 2: arguments or address can't be honoured."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        options = parse_options(sys.argv[1:])
    except OptionsError as error:
        print(f"{PROGRAM}: {error}; see --help", file=sys.stderr)
        return 2
    # After the arguments, as this takes most of the start.
    from flagscale_workloads.inference.simulator.process import listen, serve

    try:
        listener = listen(options.host, options.port)
    except OSError as error:
        address = f"{options.host}:{options.port}"
        print(f"--port: can't listen, got {address} ({error}); use a free one", file=sys.stderr)
        return 2
    host, port = listener.getsockname()[:2]
    print(f"simulator: {options.served_model_name} on {host} port {port}", flush=True)
    uvloop.run(serve(options, listener))
    return 0


def _leave(signum: int, frame: FrameType | None) -> None:
    """Until the server listens to signals itself there is nothing to finish."""
    del signum, frame
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())

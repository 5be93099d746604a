"""Command line: python -m flagscale_workloads.backends.arguments ENGINE --python PYTHON.

Writes the snapshot of the engine that is installed in that interpreter's environment.
"""

import argparse
import json
from pathlib import Path

from flagscale_workloads.backends.arguments.asking import installed_arguments
from flagscale_workloads.backends.registry import adapter_of


def main() -> None:
    """Write <engine>.json beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=("vllm", "sglang", "llamacpp"))
    parser.add_argument("--python", required=True, type=Path, help="interpreter of the engine")
    options = parser.parse_args()
    env = adapter_of(options.engine).parser_environment
    snapshot = installed_arguments(options.engine, python=options.python, env=env)
    target = Path(__file__).with_name(f"{options.engine}.json")
    target.write_text(json.dumps(snapshot, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

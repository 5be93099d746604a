"""What no linter says: sizes of modules and functions, and what the base install loads."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("crds/src", "operator/src", "workloads/src", "tests")
    for path in (ROOT / folder).rglob("*.py")
]
MODULE_LINES = 300
FUNCTION_LINES = 40
LOADED = """
import sys
import flagscale_api.v1alpha1.train_job
heavy = {'torch', 'transformers', 'kopf', 'aiohttp', 'kubernetes', 'numpy', 'ray', 'vllm'}
print(*sorted(heavy & set(sys.modules)))
"""
OPERATOR = """
import sys
import flagscale_operator.edge.operate
print(*sorted({'mcp', 'httpx2', 'starlette', 'openapi_pydantic'} & set(sys.modules)))
"""


def test_no_module_and_no_function_is_too_long_to_read() -> None:
    assert SOURCES
    long = []
    for path in SOURCES:
        text = path.read_text()
        if len(text.splitlines()) > MODULE_LINES:
            long.append(f"{path.name}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES:
                    long.append(f"{path.name} {node.name}: {size} lines")
    assert long == []


def test_the_operator_starts_without_what_only_sources_need() -> None:
    done = subprocess.run([sys.executable, "-c", OPERATOR], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_the_api_alone_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""

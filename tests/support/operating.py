"""An operator at work in one namespace, and what it has made there."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from perf.operator_process import OperatorProcess
from support.kubectl import Kubectl

Body = dict[str, Any]


def items(kubectl: Kubectl, namespace: str, plural: str) -> list[Body]:
    """All objects of a kind in a namespace; none when the kind is not served."""
    done = kubectl("get", plural, "-n", namespace, "-o", "json")
    found: list[Body] = json.loads(done.stdout)["items"] if done.returncode == 0 else []
    return found


@asynccontextmanager
async def operating(
    kubeconfig: Path, namespace: str, log: Path, *, elect: bool = True, **settings: str
) -> AsyncIterator[OperatorProcess]:
    """An operator that watches one namespace, until the block ends."""
    operator = await OperatorProcess.start(
        log,
        kubeconfig,
        FLAGSCALE_NAMESPACE=namespace,
        FLAGSCALE_WATCH_NAMESPACES=namespace,
        FLAGSCALE_LEADER_ELECT=str(elect).lower(),
        **settings,
    )
    try:
        yield operator
    finally:
        await operator.stop()

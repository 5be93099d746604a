"""The logs of several pods as one stream of lines."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from flagscale_operator.kube.client import Manifest
from flagscale_runner.cluster.api import ClusterApi


async def merged_lines(
    api: ClusterApi, pods: Sequence[Manifest], *, follow: bool
) -> AsyncIterator[str]:
    """Lines as they come, each after its pod's name where there are several.

    Without `follow` the pods come one after another. Raises ApiError or TransientError.
    """
    if not follow:
        for pod in pods:
            async for line in _of(api, pod, follow=False, alone=len(pods) == 1):
                yield line
        return
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    async def pump(pod: Manifest) -> None:
        try:
            async for line in _of(api, pod, follow=True, alone=len(pods) == 1):
                await lines.put(line)
        finally:
            await lines.put(None)

    pumps = [asyncio.create_task(pump(pod)) for pod in pods]
    try:
        left = len(pumps)
        while left:
            told = await lines.get()
            if told is None:
                left -= 1
            else:
                yield told
        await asyncio.gather(*pumps)
    finally:
        for task in pumps:
            task.cancel()


async def _of(api: ClusterApi, pod: Manifest, *, follow: bool, alone: bool) -> AsyncIterator[str]:
    metadata = pod["metadata"]
    container = pod["spec"]["containers"][0]["name"]
    async for line in api.log_lines(
        metadata["namespace"], metadata["name"], container, follow=follow
    ):
        yield line if alone else f"[{metadata['name']}] {line}"

"""Adds the counted calls to `status.calls` of each AgentTool; replicas add up."""

import asyncio
import logging
from typing import Final

from flagscale_api import keys
from flagscale_workloads.agent.service.access import RESOURCE
from flagscale_workloads.agent.service.kube.api import KubeApi, KubeError
from flagscale_workloads.agent.service.tally import Tally

_log = logging.getLogger(__name__)
CONFLICT: Final = 409
GONE: Final = 404


class CallsStatus:
    """Writes at most every few seconds; what can't be written is written the next time."""

    def __init__(self, api: KubeApi, tally: Tally, interval_s: float) -> None:
        self._api = api
        self.tally = tally
        self._interval_s = interval_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.write()

    async def write(self) -> None:
        """Add what was counted."""
        for (namespace, name), calls in self.tally.take().items():
            try:
                await self._add(namespace, name, calls)
            except KubeError as error:
                if error.status == GONE:
                    continue
                self.tally.give_back(namespace, name, calls)
                if error.status != CONFLICT:
                    _log.warning("status.calls of %s/%s: %s", namespace, name, error)

    async def _add(self, namespace: str, name: str, calls: int) -> None:
        path = f"/apis/{keys.API_VERSION}/namespaces/{namespace}/{RESOURCE}/{name}"
        body = await self._api.get(path)
        before = int((body.get("status") or {}).get("calls") or 0)
        # The version makes it a conflict when another replica has added meanwhile.
        metadata = {"name": name, "resourceVersion": body["metadata"]["resourceVersion"]}
        change = {
            "apiVersion": keys.API_VERSION,
            "kind": "AgentTool",
            "metadata": metadata,
            "status": {"calls": before + calls},
        }
        await self._api.apply(f"{path}/status", change, manager=keys.MATCHER_FIELD_MANAGER)

"""What the operator asks every replica for: which generation of each AgentTool is found here."""

import hashlib

from flagscale_api.runtime.tool_index import IndexedTool, IndexReport
from flagscale_workloads.agent.service.catalogue import Catalogue
from flagscale_workloads.agent.service.feeding import Feeder


def index_report(catalogue: Catalogue, feeder: Feeder, replica: str) -> tuple[bytes, str]:
    """The document and its ETag."""
    applied = feeder.applied.values()
    tools = {uid: IndexedTool(generation=generation) for uid, generation in applied if uid}
    for problem in catalogue.problems():
        uid, generation = problem.version
        if uid:
            tools[uid] = IndexedTool(generation=generation, error=problem.message)
    body = IndexReport(replica=replica, tools=tools).model_dump_json(by_alias=True).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

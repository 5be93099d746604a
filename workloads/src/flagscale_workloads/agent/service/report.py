"""What the operator asks every replica for: which generation of each AgentTool is found here."""

import hashlib

from flagscale_api.runtime.tool_index import IndexReport
from flagscale_workloads.agent.service.catalogue import Catalogue
from flagscale_workloads.agent.service.feeding import Feeder


def index_report(catalogue: Catalogue, feeder: Feeder, replica: str) -> tuple[bytes, str]:
    """The document and its ETag."""
    tools = {uid: generation for uid, generation in feeder.applied.values() if uid}
    refused = dict(problem.version for problem in catalogue.problems())
    report = IndexReport(replica=replica, tools=tools, refused=refused)
    body = report.model_dump_json(by_alias=True).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

"""What sources become: golden pairs cr.yaml -> children.yaml."""

from pathlib import Path

import pytest
import yaml

from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.render import RenderContexts, render_documents
from support.agent_tools import SOURCE, tool_source

GOLDEN = Path(__file__).parents[3] / "golden" / "agent_tool_source"
CONTEXTS = RenderContexts(RenderContext("t", "https://p", "CA"), ServingContext("s"))


@pytest.mark.parametrize("case", sorted(p.name for p in GOLDEN.iterdir()))
def test_a_source_becomes_the_golden_tools(case: str) -> None:
    documents = list(yaml.safe_load_all((GOLDEN / case / "cr.yaml").read_text()))
    rendered = render_documents(documents, CONTEXTS)
    assert rendered == list(yaml.safe_load_all((GOLDEN / case / "children.yaml").read_text()))
    for body in rendered:
        AgentToolSpec.model_validate(body["spec"])


def test_a_source_whose_server_would_have_to_be_asked_is_not_rendered() -> None:
    with pytest.raises(InvalidSpecError, match="its tools are its server's to tell"):
        render_documents([tool_source(SOURCE)], CONTEXTS)

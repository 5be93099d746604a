"""OpenAI's own client, asking a service from one of its engine pods."""

from support.workspace import Workspace

# The one that vLLM brings along in the image.
_COMMAND = (
    "/opt/engines/vllm/bin/python",
    "-c",
    """
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
(model,) = client.models.list()
answer = client.completions.create(model=model.id, prompt="In the beginning", max_tokens=8)
print(model.id, answer.usage.completion_tokens)
""",
)
_ENGINES = "app.kubernetes.io/component=engine,flagscale.dev/inferenceservice"


def ask_officially(workspace: Workspace, name: str, url: str) -> tuple[str, int]:
    """The model's name and the tokens of an answer to a prompt."""
    pods = workspace.kubectl("get", "pods", "-l", f"{_ENGINES}={name}", "-o", "name").split()
    model, tokens = workspace.kubectl("exec", pods[0], "--", *_COMMAND, url).split()
    return model, int(tokens)

"""An answer out of the lines of an OpenAI stream (pure)."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from flagscale_runner.base import Manifest, RunnerError, Target

Api = Literal["chat", "completion"]
PATHS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}


def request_of(
    body: Manifest, api: Api, messages: list[dict[str, str]], *, max_tokens: int
) -> dict[str, Any]:
    """What to post; a completion goes on with the last message.

    Raises RunnerError when the service is not one that answers.
    """
    target = Target(body["kind"], body["metadata"]["namespace"], body["metadata"]["name"])
    status = body.get("status") or {}
    if body["kind"] != "InferenceService":
        raise RunnerError(f"{target}: answers nothing; serve its model by an InferenceService")
    if status.get("phase") not in ("Ready", "Degraded", "Idle"):
        raise RunnerError(
            f"{target}: is {status.get('phase', 'Pending')}; `flagscale explain "
            f"isvc/{target.name}` tells why"
        )
    said = {"messages": messages} if api == "chat" else {"prompt": messages[-1]["content"]}
    about = {"model": status["model"]["name"], "max_tokens": max_tokens, "stream": True}
    return {**about, **said}


def parts(lines: Iterable[str]) -> Iterator[str]:
    """Pieces of the answer as they come; RunnerError with the words of a failure."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise RunnerError(f"the answer broke off: {event['error'].get('message', event)}")
        for choice in event.get("choices") or ():
            text = choice.get("text") or (choice.get("delta") or {}).get("content")
            if text:
                yield text
    raise RunnerError("the answer broke off: the connection was closed before its end")


def refusal(status: int, text: str) -> RunnerError:
    """What the door says with a status of 400 and more."""
    try:
        message = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = text[:300]
    return RunnerError(f"refused with {status}: {message}")

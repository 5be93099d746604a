"""Failures that a client, or who starts the engine, can act on."""

from collections.abc import Mapping
from typing import Any, Final

RETRY_AFTER_S: Final = 1


class LoadError(Exception):
    """A model that can't be served: `<where>: <what is wrong>, got <value>; <what to do>`."""


class RequestError(Exception):
    """A request that can't be answered, in the words of OpenAI's errors."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code

    @property
    def headers(self) -> Mapping[str, str]:
        """What to send along: when to try again."""
        return {"Retry-After": str(RETRY_AFTER_S)} if self.status in (429, 503) else {}

    def as_json(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        about = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": about}


def overloaded(waiting: int) -> RequestError:
    """As many requests wait as may."""
    msg = f"engine: queue full, got {waiting} waiting requests; try again later"
    return RequestError(msg, status=503, code="engine_overloaded")


def not_ready(why: str) -> RequestError:
    """The engine loads its model, or stops."""
    return RequestError(f"engine: {why}; try again later", status=503, code="engine_not_ready")


def out_of_memory() -> RequestError:
    """One request alone is too much for the device."""
    msg = "engine: the device has too little memory for this request; send less"
    return RequestError(msg, status=503, code="out_of_memory")


def internal() -> RequestError:
    """Nothing that the client did; the log has the traceback."""
    return RequestError("engine: internal error; see its log", status=500, code="internal_error")


def context_exceeded(tokens: int, limit: int, *, param: str) -> RequestError:
    """Prompt and answer would not fit."""
    msg = (
        f"{param}: at most {limit} tokens of prompt and answer together, got {tokens}; "
        "shorten the prompt or lower max_tokens"
    )
    return RequestError(msg, param=param, code="context_length_exceeded")

"""Lines of an answer from a door of this machine."""

import http.client
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from flagscale_runner.base import RunnerError
from flagscale_runner.talk.answer import refusal

TIMEOUT_S: Final = 600.0


def post(url: str, body: dict[str, Any], *, key: str | None = None) -> Iterator[str]:
    """Lines as they come, with an API key; RunnerError when it can't be reached, or refuses."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    try:
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("POST", parts.path, json.dumps(body), headers)
        response = connection.getresponse()
        if response.status >= 400:
            raise refusal(response.status, response.read().decode(errors="replace"))
        for raw in response:
            yield raw.decode(errors="replace").rstrip("\r\n")
    except (OSError, http.client.HTTPException) as error:
        raise RunnerError(f"{url}: did not answer ({error}); is it still served?") from error
    finally:
        connection.close()

"""Small tools and encoders that fail, wait or count on demand."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from flagscale_workloads.agent import StaticEncoder, Tool, ToolMatcher
from flagscale_workloads.agent.tool_match.views import Vectors

TOOLS = (
    Tool.create(
        "read_file",
        "Return the content of a file",
        server="disk",
        category="files",
        input_schema={
            "type": "object",
            "properties": {"path": {"type": "string", "description": "where the file lies"}},
        },
    ),
    Tool.create("writeFile", "Save text to a file", server="disk", category="files"),
    Tool.create("get_weather", "Forecast for a city", server="sky", category="weather"),
    Tool.create("send_mail", "Send an e-mail to someone", server="post", category="mail"),
    Tool.create("convert_currency", "Exchange an amount of money", server="bank", category="money"),
    Tool.create("查询天气", "查询一个城市的天气预报", server="sky", namespace="cn"),
)


class Moody:
    """An encoder whose faults the test decides."""

    model_id = "moody"
    may_be_late = True

    def __init__(self) -> None:
        self.inner = StaticEncoder()
        self.dimensions = self.inner.dimensions
        self.broken = False
        self.encoded: list[str] = []
        self.blocked = threading.Event()
        self.blocked.set()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """As the static one, if in the mood."""
        self.blocked.wait()
        if self.broken:
            msg = "no mood"
            raise RuntimeError(msg)
        self.encoded += texts
        return self.inner.encode(texts) if texts else np.zeros((0, self.dimensions), np.float32)

    def encode_query(self, text: str, parts: Sequence[str]) -> Vectors:
        """The same for a query."""
        return self.encode([text, *parts])


@pytest.fixture
def moody() -> Moody:
    return Moody()


@pytest.fixture
def static() -> Iterator[ToolMatcher]:
    matcher = ToolMatcher(TOOLS, encoders={"static": StaticEncoder()}, deadline_s=10)
    yield matcher
    matcher.close()


@pytest.fixture(scope="module")
def full() -> Iterator[ToolMatcher]:
    matcher = ToolMatcher(TOOLS, deadline_s=10)
    yield matcher
    matcher.close()

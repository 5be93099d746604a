import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from flagscale_workloads.train import progress
from flagscale_workloads.train.pace import Pace, duration_text
from flagscale_workloads.train.preparation import Preparation
from flagscale_workloads.train.progress import Report, Reporter


class Operator:
    """Takes posts; answers as told."""

    def __init__(self) -> None:
        self.bodies: Queue[dict[str, Any]] = Queue()
        self.tokens: Queue[str | None] = Queue()
        self.answer = b"{}"
        self.status = 200
        operator = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(operator.status)
                self.end_headers()
                self.wfile.write(operator.answer)
                operator.tokens.put(self.headers["Authorization"])
                operator.bodies.put(json.loads(body)["trainerStatus"])

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/status"

    def next(self) -> dict[str, Any]:
        return self.bodies.get(timeout=5)


@pytest.fixture
def operator() -> Iterator[Operator]:
    operator = Operator()
    thread = threading.Thread(target=operator.server.serve_forever, args=(0.01,))
    thread.start()
    yield operator
    operator.server.shutdown()
    thread.join()
    operator.server.server_close()


def step(number: int) -> Report:
    return Report(percent=number, metrics={"step": number})


def test_a_report_has_the_form_of_the_protocol() -> None:
    metrics = {"step": 3, "loss": 2.123456789, "learning_rate": 1e-4, "validation_loss": None}
    saved = {"step": 2, "path": "/out/checkpoints/step-00000002", "time": "2030-01-01T00:00:00Z"}
    status = json.loads(Report(30, 12.9, metrics, saved).body())["trainerStatus"]
    assert status.pop("lastUpdatedTime").endswith("Z")
    assert status == {
        "progressPercentage": 30,
        "estimatedRemainingSeconds": 12,
        "metrics": [
            {"name": "step", "value": "3"},
            {"name": "loss", "value": "2.12346"},
            {"name": "learning_rate", "value": "0.0001"},
        ],
        "checkpoint": saved,
    }


def test_reports_arrive_and_the_newest_wins(operator: Operator) -> None:
    reporter = Reporter({progress.URL: operator.url})
    reporter.post(step(1), urgent=True)
    assert operator.next()["progressPercentage"] == 1
    for number in (2, 3, 4):
        reporter.post(step(number))
    reporter.close()
    assert operator.next()["progressPercentage"] == 4
    assert operator.bodies.empty()


def test_urgent_reports_do_not_wait(operator: Operator) -> None:
    reporter = Reporter({progress.URL: operator.url})
    for number in range(5):
        reporter.post(step(number), urgent=True)
        assert operator.next()["progressPercentage"] == number
    reporter.close()


def test_ordinary_reports_keep_their_distance(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "INTERVAL_S", 0.2)
    reporter = Reporter({progress.URL: operator.url})
    started = progress.time.monotonic()
    for number in range(3):
        reporter.post(step(number))
        operator.next()
    assert progress.time.monotonic() - started >= 0.4
    reporter.close()


def test_the_token_is_read_for_each_post(operator: Operator, tmp_path: Path) -> None:
    token = tmp_path / "token"
    reporter = Reporter({progress.URL: operator.url, progress.TOKEN: str(token)})
    for content in ("one", "two\n"):
        token.write_text(content)
        reporter.post(step(1), urgent=True)
        assert operator.tokens.get(timeout=5) == f"Bearer {content.strip()}"
    reporter.close()


def test_the_answer_may_ask_for_a_checkpoint(operator: Operator) -> None:
    operator.answer = b'{"request": "checkpoint"}'
    reporter = Reporter({progress.URL: operator.url})
    assert not reporter.checkpoint_requested
    reporter.post(step(1))
    reporter.close()
    assert reporter.checkpoint_requested
    reporter.answered()
    assert not reporter.checkpoint_requested


def test_an_operator_that_fails_is_complained_about_once_a_minute(
    operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    operator.status = 500
    reporter = Reporter({progress.URL: operator.url})
    for number in range(3):
        reporter.post(step(number), urgent=True)
        operator.next()
    reporter.close()
    assert len(caplog.records) == 1
    assert "500" in caplog.text


def test_a_corpus_that_is_read_for_long_is_no_standstill(operator: Operator) -> None:
    seconds = iter(range(100))
    reporter = Reporter({progress.URL: operator.url})
    preparation = Preparation(reporter, steps=9, clock=lambda: next(seconds))
    preparation.begin()
    told = [operator.next()]
    for _ in range(5):
        preparation.advance()
    reporter.close()
    told.append(operator.next())
    pieces = [{m["name"]: m["value"] for m in one["metrics"]}["prepared_pieces"] for one in told]
    assert pieces == ["0", "4"]


def test_without_a_url_nothing_is_sent() -> None:
    threads = threading.active_count()
    reporter = Reporter({})
    reporter.post(step(1), urgent=True)
    reporter.close()
    assert threading.active_count() == threads


def test_speed_is_that_of_the_latest_steps() -> None:
    now = 0.0
    pace = Pace(100, clock=lambda: now)
    assert pace.tokens_per_second is pace.remaining_s(5) is None
    for _ in range(60):
        now += 10
        pace.step()
    for _ in range(50):
        now += 2
        pace.step()
    assert pace.tokens_per_second == 50
    assert pace.remaining_s(5) == 10


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "?"), (20.9, "20s"), (80, "1m20s"), (3725, "1h02m")]
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text

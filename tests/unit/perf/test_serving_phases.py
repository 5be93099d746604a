import pytest

from perf.serving_phases import PHASES, phases

BEGIN = 1_764_174_600.0  # 2025-11-26T16:30:00Z
MARKS = {"applied": BEGIN, "created": BEGIN + 1, "scheduled": BEGIN + 1.5, "running": BEGIN + 4}
LOG = """2025-11-26T16:30:05.000000000Z [serve] tiny: loading /models/tiny
2025-11-26T16:30:09.500000000Z [serve] simulator-0: ready after 4.0 s, of which its first token \
took 0.5 s
2025-11-26T16:30:09.600000000Z [serve] tiny: ready at http://0.0.0.0:8000/v1
"""


def test_phases_follow_each_other_and_leave_no_time_out() -> None:
    took = phases(MARKS, LOG, answered=BEGIN + 11)

    assert tuple(took) == PHASES
    assert list(took.values()) == pytest.approx([1, 0.5, 2.5, 1.5, 3.5, 0.5, 1.5])
    assert sum(took.values()) == pytest.approx(11)


def test_a_log_without_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match="no first token"):
        phases(MARKS, LOG.replace("ready after", "loading,"), answered=BEGIN + 11)

"""What the records of a load say together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from support.load import Record
from support.percentiles import percentile


@dataclass(frozen=True, slots=True)
class Summary:
    """What all records say together; percentiles are of requests that were done."""

    endings: Mapping[str, int]
    statuses: Mapping[int, int]
    rate_per_s: float
    tokens_per_s: float
    first_byte_s: Mapping[int, float]
    total_s: Mapping[int, float]
    most_late_s: float


def summarize(records: Sequence[Record]) -> Summary:
    """Counts, rates and percentiles 50, 90, 95 and 99."""
    done = [record for record in records if record.ending == "done"]
    end = max((r.due_s + r.late_s + r.total_s for r in records), default=0.0)
    begin = min((r.due_s for r in records), default=0.0)
    span = max(1e-9, end - begin)
    return Summary(
        endings=Counter(r.ending for r in records),
        statuses=Counter(r.status for r in records if r.status is not None),
        rate_per_s=len(done) / span,
        tokens_per_s=sum(r.tokens for r in done) / span,
        first_byte_s=_percentiles([r.first_byte_s for r in done if r.first_byte_s is not None]),
        total_s=_percentiles([r.total_s for r in done]),
        most_late_s=max((r.late_s for r in records), default=0.0),
    )


def _percentiles(values: Sequence[float]) -> dict[int, float]:
    """Nothing for no values."""
    return {p: percentile(values, p) for p in (50, 90, 95, 99)} if values else {}

"""How likely a hit answers the request, from raw scores: the fused one only ranks.

A logistic function per tier, fitted by `tests/perf/tool_confidence.py` on the tune halves of the
development sets and on requests that no tool of the pool answers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flagscale_workloads.agent.tool_match.scoring import Tier

ABSTAIN_BELOW: Final = 0.12
"""Where the best hit is less likely than this, the matcher says that no tool fits."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a hit, none of it relative to the other tools but `lead`."""

    dense: float = 0.0
    static: float = 0.0
    coverage: float = 0.0
    """Share of the query's informative words that the tool has, 0..1."""
    lead: float = 0.0
    """Fused score over that of the best other hit; negative for all but the first."""
    names: float = 0.0


@dataclass(frozen=True, slots=True)
class Logistic:
    """Bias and a factor for each kind of evidence."""

    bias: float
    factors: Mapping[str, float]

    def __call__(self, evidence: Evidence) -> float:
        """A probability."""
        total = self.bias + sum(f * getattr(evidence, name) for name, f in self.factors.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


CALIBRATION: Final[Mapping[Tier, Logistic]] = {
    "transformer": Logistic(-3.72, {"dense": 1.99, "static": 2.59, "lead": 4.83}),
    "static": Logistic(-3.58, {"static": 3.98, "lead": 4.63}),
    "lexical": Logistic(-2.45, {"coverage": 2.34, "lead": 3.05}),
    "names": Logistic(-2.0, {"names": 2.0}),
}

"""Bench of load balancing: prompts with shared beginnings over three simulated engines.

    make bench BENCH=routing

Past saturation, what a policy leaves to recompute decides the throughput; below it, all policies
must be equal. The simulators' caches hold a third of the beginnings. The last line is one JSON
object.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import uvloop

from flagscale_workloads.serve.policies import C, Policy, RouteKey
from perf.ranges import report
from support.gateways import serving_simulators
from support.load import Load, Record, drive
from support.load_summary import summarize

ENGINES = 3
# No multiple of the engines, or taking turns would give each its own.
PREFIXES = 13
PREFIX_WORDS = 1500
# Five of thirteen beginnings, and room for what runs.
KV_CACHE_TOKENS = 10_800
SATURATING_PER_S = 45.0
BELOW_PER_S = 6.0
DURATION_S = 15.0
LOAD_FACTOR = 1.25


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy made of one load."""

    requests_per_s: float
    ttft_p90_s: float
    worst_imbalance: float


def say(text: str) -> None:
    """One line of progress."""
    print(f"[bench routing] {text}", flush=True)


async def run_policy(policy: str, rate_per_s: float) -> Outcome:
    """The same requests under a policy, on fresh engines."""
    engine = {"name": "simulator", "kvCacheTokens": KV_CACHE_TOKENS, "contextLength": 4096}
    routing = {"policy": policy, "loadFactor": LOAD_FACTOR}
    gateway = {"queue": {"size": 4096, "timeoutSeconds": 300}, "perReplicaConcurrency": 512}
    async with serving_simulators(
        ENGINES, engine=engine, routing=routing, gateway=gateway
    ) as running:
        load = Load(
            rate_per_s,
            DURATION_S,
            "sim",
            stream=True,
            max_tokens=8,
            prompt_words=16,
            prefixes=PREFIXES,
            prefix_words=PREFIX_WORDS,
            timeout_s=300,
        )
        dispatcher = running.service.dispatcher
        dispatcher.policy = watched = WatchedPolicy(dispatcher.policy)
        records = await drive(f"http://127.0.0.1:{running.port}", load)
        return outcome(records, watched.worst_imbalance)


class WatchedPolicy:
    """A policy, and how far above the mean load its choices were."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.worst_imbalance = 0.0

    def choose(self, candidates: Sequence[C], key: RouteKey) -> C:
        """As the policy chooses."""
        chosen = self._policy.choose(candidates, key)
        mean = (sum(c.outstanding for c in candidates) + 1) / len(candidates)
        # Loads are whole numbers: the request itself is its grace.
        self.worst_imbalance = max(self.worst_imbalance, chosen.outstanding / mean)
        return chosen

    def removed(self, name: str) -> None:
        """As the policy forgets."""
        self._policy.removed(name)


def outcome(records: Iterable[Record], worst_imbalance: float) -> Outcome:
    """Figures of a run; every request must have been answered."""
    records = list(records)
    lost = [record for record in records if record.ending != "done"]
    if lost:
        msg = f"{len(lost)} of {len(records)} requests were lost, the first: {lost[0]}"
        raise RuntimeError(msg)
    elapsed_s = max(record.due_s + record.total_s for record in records)
    summary = summarize(records)
    return Outcome(len(records) / elapsed_s, summary.first_byte_s[90], worst_imbalance)


async def measure() -> dict[str, float]:
    """All policies that are compared."""
    found: dict[tuple[str, float], Outcome] = {}
    for policy, rate in (
        ("roundRobin", SATURATING_PER_S),
        ("prefixAware", SATURATING_PER_S),
        ("roundRobin", BELOW_PER_S),
        ("prefixAware", BELOW_PER_S),
        ("consistentHash", SATURATING_PER_S),
    ):
        found[policy, rate] = run = await run_policy(policy, rate)
        say(
            f"{policy} at {rate:g}/s: {run.requests_per_s:.1f} requests/s, "
            f"TTFT p90 {run.ttft_p90_s:.2f} s"
        )
    past = found["prefixAware", SATURATING_PER_S], found["roundRobin", SATURATING_PER_S]
    below = found["prefixAware", BELOW_PER_S], found["roundRobin", BELOW_PER_S]
    return {
        "throughput_ratio": past[0].requests_per_s / past[1].requests_per_s,
        "ttft_p90_ratio": past[1].ttft_p90_s / past[0].ttft_p90_s,
        "below_saturation_ratio": below[0].requests_per_s / below[1].requests_per_s,
        "worst_imbalance": found["consistentHash", SATURATING_PER_S].worst_imbalance,
    }


def main() -> int:
    """Print the figures against their bars."""
    figures = {name: round(value, 3) for name, value in uvloop.run(measure()).items()}
    say("bars: throughput_ratio >= 2 or ttft_p90_ratio >= 5; below saturation 0.95 to 1.05")
    return report("routing", figures)


if __name__ == "__main__":
    sys.exit(main())

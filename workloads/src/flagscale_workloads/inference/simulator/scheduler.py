"""Continuous batching on a clock of its own: which sequences advance, and how long that takes.

A step computes one token of every answer under way and, within a budget, a piece of the prompts.
The caller lets the time of a step pass between `begin` and `complete`; nothing here waits.
"""

from collections import deque
from dataclasses import dataclass, field

from flagscale_workloads.inference.simulator.blocks import (
    BLOCK_TOKENS,
    BlockPool,
    Lease,
    blocks_for,
)


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that work takes."""

    prefill_s_per_token: float = 0.000125
    decode_s: float = 0.006
    """A step with answers under way."""
    decode_s_per_sequence: float = 0.00035
    """Added for each of them."""

    def step_s(self, *, prefill_tokens: int, decoding: int) -> float:
        """Seconds of one step."""
        decode = self.decode_s + self.decode_s_per_sequence * decoding if decoding else 0.0
        return self.prefill_s_per_token * prefill_tokens + decode


@dataclass(frozen=True, slots=True)
class Limits:
    """What runs at the same time."""

    max_running: int = 256
    kv_cache_tokens: int = 524_288
    step_prefill_tokens: int = 2048
    """Prompt tokens of one step: a long prompt delays others' tokens by no more than that."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and the length of its answer, known beforehand as the model is simulated."""

    prompt_tokens: int
    answer_tokens: int
    hashes: tuple[int, ...] = ()
    """Chained hashes of the full blocks of prompt and answer."""
    computed: int = 0
    """Prompt tokens in the KV cache."""
    cached: int = 0
    """Of those, found there."""
    generated: int = 0
    lease: Lease = field(default_factory=Lease)

    @property
    def finished(self) -> bool:
        """Whether all of it is computed."""
        return self.computed == self.prompt_tokens and self.generated == self.answer_tokens


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state and the sums since the start."""

    running: int
    waiting: int
    kv_cache_usage: float
    """Share of the blocks that running sequences hold, 0 to 1."""
    finished: int
    aborted: int
    prompt_tokens: int
    generated_tokens: int
    prefix_cache_hit_tokens: int


class Scheduler:
    """First come, first served; blocks for prompt and answer are reserved at admission."""

    def __init__(self, costs: Costs, limits: Limits) -> None:
        self._costs = costs
        self._limits = limits
        self._pool = BlockPool(limits.kv_cache_tokens // BLOCK_TOKENS)
        # A dict keeps the order of admission and removes at once.
        self._running: dict[Sequence, None] = {}
        self._waiting: deque[Sequence] = deque()
        self._plan: list[tuple[Sequence, int]] = []
        self._finished = self._aborted = 0
        self._prompt_tokens = self._generated_tokens = self._hit_tokens = 0

    def submit(self, sequence: Sequence) -> None:
        """Put a sequence at the end of the queue; ValueError for one that can never run."""
        if _blocks(sequence) > self._pool.total:
            msg = f"sequence: exceeds the KV cache, got {_blocks(sequence)} blocks; shorten it"
            raise ValueError(msg)
        self._waiting.append(sequence)

    def abort(self, sequence: Sequence) -> bool:
        """Free all that the sequence holds, now; False if it is over already."""
        if sequence in self._running:
            self._leave(sequence)
        elif sequence in self._waiting:
            self._waiting.remove(sequence)
        else:
            return False
        self._aborted += 1
        return True

    def begin(self, *, stall_after: int | None = None) -> float | None:
        """Plan a step; its seconds, or None when there is nothing to compute.

        Answers with `stall_after` tokens stand still and keep what they hold.
        """
        self._admit()
        self._plan = []
        prefill = decoding = 0
        for sequence in self._running:
            missing = sequence.prompt_tokens - sequence.computed
            if missing:
                piece = min(missing, self._limits.step_prefill_tokens - prefill)
                prefill += piece
                if piece:
                    self._plan.append((sequence, piece))
            elif stall_after is None or sequence.generated < stall_after:
                decoding += 1
                self._plan.append((sequence, 0))
        if not self._plan:
            return None
        return self._costs.step_s(prefill_tokens=prefill, decoding=decoding)

    def complete(self) -> list[Sequence]:
        """The planned step is done; the sequences that have a new token or are finished."""
        advanced = []
        for sequence, piece in self._plan:
            # Aborted meanwhile.
            if sequence not in self._running:
                continue
            sequence.computed += piece
            if sequence.computed < sequence.prompt_tokens:
                continue
            if piece:
                self._prompt_tokens += sequence.prompt_tokens
                self._publish(sequence)
            self._generate(sequence)
            advanced.append(sequence)
        self._plan = []
        return advanced

    def snapshot(self) -> Snapshot:
        """What metrics tell."""
        return Snapshot(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_cache_usage=self._pool.used / max(1, self._pool.total),
            finished=self._finished,
            aborted=self._aborted,
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._generated_tokens,
            prefix_cache_hit_tokens=self._hit_tokens,
        )

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._limits.max_running:
            sequence = self._waiting[0]
            # The last token of a prompt is always computed: it gives the first of the answer.
            usable = sequence.hashes[: (sequence.prompt_tokens - 1) // BLOCK_TOKENS]
            lease = self._pool.lease(usable, _blocks(sequence))
            if lease is None:
                return
            self._waiting.popleft()
            sequence.lease = lease
            sequence.cached = sequence.computed = len(lease.shared) * BLOCK_TOKENS
            self._hit_tokens += sequence.cached
            self._running[sequence] = None

    def _generate(self, sequence: Sequence) -> None:
        if sequence.answer_tokens:
            sequence.generated += 1
            self._generated_tokens += 1
        if sequence.finished:
            self._finished += 1
            self._leave(sequence)

    def _leave(self, sequence: Sequence) -> None:
        if sequence.computed == sequence.prompt_tokens:
            self._publish(sequence)
        self._pool.release(sequence.lease)
        del self._running[sequence]

    def _publish(self, sequence: Sequence) -> None:
        full = (sequence.computed + sequence.generated) // BLOCK_TOKENS
        self._pool.publish(sequence.lease, sequence.hashes[:full])


def _blocks(sequence: Sequence) -> int:
    return blocks_for(sequence.prompt_tokens + sequence.answer_tokens)

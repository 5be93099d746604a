"""The command line: the adapter checks a user's further arguments against the same parser."""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from flagscale_workloads.inference.simulator.blocks import BLOCK_TOKENS
from flagscale_workloads.inference.simulator.faults import Faults
from flagscale_workloads.inference.simulator.scheduler import Costs, Limits

PROGRAM: Final = "python -m flagscale_workloads.inference.simulator"


class OptionsError(Exception):
    """Arguments that can't be honoured; the message names the first."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionsError(message)


class Options(argparse.Namespace):
    """What the arguments say."""

    host: str
    port: int
    served_model_name: str
    context_length: int
    max_concurrency: int
    kv_cache_tokens: int
    step_prefill_tokens: int
    answer_tokens: int
    seed: int
    prefill_s_per_token: float
    decode_s: float
    decode_s_per_sequence: float
    startup_s: float
    grace_s: float
    speed: float
    faults: Faults

    @property
    def costs(self) -> Costs:
        """Seconds that work takes."""
        return Costs(self.prefill_s_per_token, self.decode_s, self.decode_s_per_sequence)

    @property
    def limits(self) -> Limits:
        """What runs at the same time."""
        return Limits(self.max_concurrency, self.kv_cache_tokens, self.step_prefill_tokens)

    @property
    def request_tokens(self) -> int:
        """Tokens of prompt and answer together; the KV cache must hold one request."""
        return min(self.context_length, self.kv_cache_tokens // BLOCK_TOKENS * BLOCK_TOKENS)


def parse_options(arguments: Sequence[str]) -> Options:
    """The options; OptionsError for what is wrong, SystemExit after `--help`."""
    options = build_parser().parse_args(arguments, namespace=Options())
    fields = {name: getattr(options, name) for name in Faults.model_fields}
    # Validation has happened field by field, in the parser.
    options.faults = Faults.model_validate(fields)
    return options


def option_names() -> frozenset[str]:
    """Names of all options, without dashes before them."""
    known = build_parser().parse_args(["--port=0", "--served-model-name=any"])
    return frozenset(name.replace("_", "-") for name in vars(known))


def build_parser() -> argparse.ArgumentParser:
    """All options with their defaults."""
    parser = _Parser(
        prog=PROGRAM,
        description="An OpenAI-compatible engine without a model.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    count, span = _number(int, at_least=1), _number(float, at_least=0)
    limits, costs = Limits(), Costs()
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=_number(int, at_least=0, at_most=65535), required=True, help="0: any free")
    add("--served-model-name", required=True, help="name that clients ask for")
    add("--context-length", type=count, default=32768, help="tokens of a request, with its answer")
    add("--max-concurrency", type=count, default=limits.max_running, help="running requests")
    add(
        "--kv-cache-tokens",
        type=_number(int, at_least=BLOCK_TOKENS),
        default=limits.kv_cache_tokens,
        help="tokens that the KV cache holds",
    )
    add(
        "--step-prefill-tokens",
        type=count,
        default=limits.step_prefill_tokens,
        help="prompt tokens computed per step",
    )
    add("--answer-tokens", type=count, default=64, help="length of an answer that nothing cuts")
    add("--seed", type=int, default=0, help="seed of requests that bring none")
    add(
        "--prefill-s-per-token",
        type=span,
        default=costs.prefill_s_per_token,
        help="seconds per prompt token that is not cached",
    )
    add("--decode-s", type=span, default=costs.decode_s, help="seconds of a step with answers")
    add(
        "--decode-s-per-sequence",
        type=span,
        default=costs.decode_s_per_sequence,
        help="seconds added per answer under way",
    )
    add("--startup-s", type=span, default=0.0, help="seconds until /health says 200")
    add("--grace-s", type=span, default=15.0, help="seconds for running requests after SIGTERM")
    add(
        "--speed",
        type=_number(float, at_least=1e-6),
        default=1.0,
        help="divides all times but the grace",
    )
    _add_faults(parser)
    return parser  # fmt: skip


def _add_faults(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    count, fields = _number(int, at_least=1), Faults.model_fields

    def fault(name: str, kind: Callable[[str], object], choices: tuple[str, ...] = ()) -> None:
        add("--" + name.replace("_", "-"), type=kind, choices=choices or None,
            default=fields[name].default, help=fields[name].description)  # fmt: skip

    fault("die_after_tokens", count)
    fault("die_after_requests", _number(int, at_least=0))
    fault("hang", str, ("none", "requests", "all"))
    fault("hang_after_tokens", count)
    fault("fail_share", _number(float, at_least=0, at_most=1))
    fault("fail_status", _number(int, at_least=500, at_most=599))
    fault("slow_factor", _number(float, at_least=1e-6, at_most=1e6))


def _number(
    kind: Callable[[str], float], *, at_least: float, at_most: float = math.inf
) -> Callable[[str], float]:
    """A converter of an argument that knows its bounds."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not a number, got {text}") from None
        if not at_least <= value <= at_most or not math.isfinite(value):
            bounds = (
                f"{at_least:g} to {at_most:g}" if at_most < math.inf else f"{at_least:g} or more"
            )
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {text}")
        return value

    return convert

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
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    port = _number(int, at_least=0, at_most=65535)
    parser.add_argument("--port", type=port, required=True, help="0: any free")
    parser.add_argument("--served-model-name", required=True, help="name that clients ask for")
    _add_sizes(parser)
    _add_times(parser)
    _add_faults(parser)
    return parser


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    limits = Limits()

    def size(name: str, default: int, text: str, *, at_least: int = 1) -> None:
        kind = _number(int, at_least=at_least)
        parser.add_argument(name, type=kind, default=default, help=text)

    size("--context-length", 32768, "tokens of a request, with its answer")
    size("--max-concurrency", limits.max_running, "running requests")
    cached = "tokens that the KV cache holds"
    size("--kv-cache-tokens", limits.kv_cache_tokens, cached, at_least=BLOCK_TOKENS)
    size("--step-prefill-tokens", limits.step_prefill_tokens, "prompt tokens computed per step")
    size("--answer-tokens", 64, "length of an answer that nothing cuts")
    size("--seed", 0, "seed of requests that bring none", at_least=0)


def _add_times(parser: argparse.ArgumentParser) -> None:
    costs = Costs()

    def time(name: str, default: float, text: str, *, at_least: float = 0) -> None:
        kind = _number(float, at_least=at_least)
        parser.add_argument(name, type=kind, default=default, help=text)

    uncached = "seconds per prompt token that is not cached"
    time("--prefill-s-per-token", costs.prefill_s_per_token, uncached)
    time("--decode-s", costs.decode_s, "seconds of a step with answers")
    each = "seconds added per answer under way"
    time("--decode-s-per-sequence", costs.decode_s_per_sequence, each)
    time("--startup-s", 0.0, "seconds until /health says 200")
    time("--grace-s", 15.0, "seconds for running requests after SIGTERM")
    time("--speed", 1.0, "divides all times but the grace", at_least=1e-6)


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

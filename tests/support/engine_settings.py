"""Settings of an engine that nobody names, in all combinations: for tests of who honours them."""

import itertools
import random
from typing import Any

from hypothesis import strategies as st

VALUES: dict[str, tuple[Any, ...]] = {
    "device": ("auto", "cpu", "cuda"),
    "dtype": ("auto", "bfloat16", "float16", "float32"),
    "quantization": ("none", "fp8", "awq", "gptq", "int8", "q8_0", "f16"),
    "contextLength": (512,),
    "maxConcurrency": (1, 2),
    "kvCacheTokens": (4096,),
    "kvCacheFraction": (0.5,),
    "tensorParallel": (1, 2),
    "speculative": ({"method": "ngram"}, {"method": "draft", "draftModel": "/m"}),
    "seed": (0, 7),
}
MODELS = ({"volume": {"claimName": "models"}}, {"volume": {"claimName": "m"}, "file": "m.gguf"})
RESOURCES: tuple[dict[str, Any], ...] = (
    {},
    {"limits": {"nvidia.com/gpu": "1"}},
    {"limits": {"nvidia.com/mig-1g.5gb": "1"}},
)


def engine_settings() -> st.SearchStrategy[dict[str, Any]]:
    """A few of them, so that most combinations are honoured by one engine or none."""
    return st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({n: st.sampled_from(VALUES[n]) for n in names})
    )


def auto_specs(count: int) -> list[dict[str, Any]]:
    """As many specs without a named engine, with two settings each; the same ones every time."""
    settings = [
        {first: one, second: other}
        for first, second in itertools.combinations(sorted(VALUES), 2)
        for one, other in itertools.product(VALUES[first], VALUES[second])
    ]
    every = [
        {"model": model, "engine": engine, "resources": resources}
        for model, engine, resources in itertools.product(MODELS, settings, RESOURCES)
    ]
    return random.Random(0).sample(every, count)

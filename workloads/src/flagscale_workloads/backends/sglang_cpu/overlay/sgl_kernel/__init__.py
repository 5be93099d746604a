"""Stand-in for SGLang's CUDA kernels on machines without a GPU; see flagscale_workloads.

Runs in SGLang's environment, where nothing of FlagScale is installed.
"""

import importlib.metadata
import sys
from collections.abc import Callable
from typing import NoReturn

CHECKED = ("0.5.23",)
# SGLang asks for this version or a later one.
__version__ = "999.0.0"
SPECULATIVE = (
    "assign_draft_cache_locs_contiguous_cpu",
    "assign_extend_cache_locs_cpu",
    "assign_req_to_token_pool_cpu",
    "build_tree_kernel_efficient_cpu",
    "copy_all_layer_kv_cache_cpu",
    "fill_accept_out_cache_loc_cpu",
    "fill_bonus_tokens_cpu",
    "verify_tree_greedy_cpu",
)


def _missing(name: str) -> Callable[..., NoReturn]:
    def kernel(*_arguments: object, **_named: object) -> NoReturn:
        msg = f"sgl_kernel.{name}: not on a CPU; switch speculative decoding off"
        raise NotImplementedError(msg)

    return kernel


_version = importlib.metadata.version("sglang")
if _version not in CHECKED:
    _msg = f"sgl_kernel stand-in: not checked with sglang {_version}; it knows {CHECKED}"
    raise ImportError(_msg)
for _name in SPECULATIVE:
    globals()[_name] = _missing(_name)
print(f"flagscale: sgl_kernel stand-in for sglang {_version} on cpu", file=sys.stderr)

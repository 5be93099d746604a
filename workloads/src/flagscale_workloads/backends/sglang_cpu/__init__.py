"""SGLang without a GPU: a stand-in for the kernel package that only loads where CUDA is.

SGLang imports `sgl_kernel` even with `--device cpu`, and that wheel's libraries need CUDA. The
overlay holds a package of that name with the few names that SGLang asks for while it loads; the
computing is done by torch. It is put first on PYTHONPATH, changes no installed file, and is used
only with the versions that it was checked with, token by token, against transformers. Families of
models whose code asks for a kernel by name (Mamba, Qwen 3.5 ...) do not load with it.
"""

from pathlib import Path
from typing import Final

from flagscale_workloads.backends.errors import EngineConfigError

CHECKED: Final = frozenset({"0.5.23"})
OVERLAY: Final = Path(__file__).parent / "overlay"


def patch_name(version: str) -> str:
    """The patch as logs name it; EngineConfigError for a version it was not checked with."""
    if version not in CHECKED:
        checked = ", ".join(sorted(CHECKED))
        raise EngineConfigError(
            f"engine.device: sglang runs on cpu only with a stand-in for sgl_kernel that was not "
            f"checked with this version, got sglang {version}; install sglang {checked}, "
            "or use device cuda"
        )
    return f"sgl_kernel stand-in for sglang {version} on cpu"

"""llama.cpp's server, made to end every answer at its `max_tokens`.

llama-cpp-python looks at `max_tokens` only after a whole character: a model that goes on writing
first bytes of characters (UTF-8's 0xF0 and above) fills its context and fails with `llama_decode
returned 1`. The overlay holds a module that starts the same server with a bounded `Llama`; it
changes no installed file, and is used only with the versions that it was checked with.
"""

from pathlib import Path
from typing import Final

CHECKED: Final = frozenset({"0.3.36"})
OVERLAY: Final = Path(__file__).parent / "overlay"
MODULE: Final = "flagscale_llamacpp"
PLAIN_MODULE: Final = "llama_cpp.server"


def patch_name(version: str) -> str:
    """The patch as logs name it."""
    return f"llama-cpp-python {version} obeys max_tokens within characters, too"

"""`make run`: train, serve by two engines, ask both, find a tool; nothing is left running."""

import os
import pydoc_data.topics
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.demo.target import SAMPLES
from support.engines.environment import engine_python

JOURNEY = SAMPLES / "journey"
PROMPT = "The import statement"


def commands(folder: Path, llamacpp: Path) -> list[list[str]]:
    """What a person types."""
    volume = f"journey-data={folder / 'data'}"
    asked = ["--api", "completion", "--max-tokens", "24"]
    return [
        ["run", str(JOURNEY / "journey.yaml"), "--volume", volume,
         "--engine-python", f"llamacpp={llamacpp}"],
        ["status"],
        ["chat", "journey", PROMPT, *asked],
        ["chat", "journey-gguf", PROMPT, *asked],
        ["match", "Will it rain in Rome?", "--tools", str(JOURNEY / "tools.yaml"), "-k", "1"],
    ]  # fmt: skip


ENDING = [["stop", "isvc/journey-gguf"], ["stop", "isvc/journey"], ["stop", "trainjob/journey"]]


def typed(words: list[str], environ: dict[str, str]) -> int:
    """Run one command with this terminal; its exit code."""
    print(f"\n$ {shlex.join(['flagscale', *words])}", flush=True)
    return subprocess.run(
        [sys.executable, "-m", "flagscale_runner", *words], env=environ
    ).returncode


def main() -> int:
    """The first exit code that is not 0."""
    started = time.monotonic()
    llamacpp = engine_python("llamacpp")
    with tempfile.TemporaryDirectory(prefix="flagscale-journey-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        # Python's own manual: text that every machine with Python has.
        (folder / "data" / "corpus.txt").write_text("\n".join(pydoc_data.topics.topics.values()))
        environ = {**os.environ, "FLAGSCALE_HOME": str(folder / "home")}
        code = next((c for w in commands(folder, llamacpp) if (c := typed(w, environ))), 0)
        code = max(code, *(typed(words, environ) for words in ENDING))
    print(f"\njourney: {'done' if code == 0 else 'failed'} in {time.monotonic() - started:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())

"""A real language model of 5 million parameters, made once: no model hub is needed for tests.

It learns the text of Python's own manual (`pydoc_data.topics`, part of every Python) for some
seconds, without the end token, so that it never ends an answer by itself.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flagscale_api.v1alpha1.trainer import TrainerSpec
from support.cluster.locks import locked
from support.cluster.paths import folders
from support.cluster.progress import timed
from support.images.roles import content_key

STEPS: Final = 40
BATCH: Final = 4
SEQUENCE_TOKENS: Final = 128
CONTEXT_TOKENS: Final = 4096
SPEC: Final = TrainerSpec.model_validate(
    {
        "model": {
            "hiddenSize": 256,
            "intermediateSize": 768,
            "layers": 5,
            "attentionHeads": 4,
            "keyValueHeads": 2,
        },
        "tokenizer": {"vocabSize": 4096},
        "data": {"path": "/unused", "sequenceLength": CONTEXT_TOKENS},
        "schedule": {"steps": STEPS, "learningRate": 3e-3},
        "output": {"path": "/unused"},
    }
)
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def tiny_model() -> Path:
    """A Hugging Face folder, float32, with tokenizer and chat template."""
    return _once("tiny-llama", _write_model)


def tiny_gguf() -> Path:
    """The same model as a GGUF file with 16-bit weights."""
    return _once("tiny-llama-gguf", _write_gguf) / "model.gguf"


def _once(name: str, fill: Callable[[Path], None]) -> Path:
    cache = folders(os.environ).cache
    exporter = Path(__file__).parents[2] / "workloads/src/flagscale_workloads/compress"
    sources = [Path(__file__), *sorted(exporter.glob("*.py"))]
    parts = [(path.name, path.read_bytes()) for path in sources]
    target = cache / "models" / f"{name}-{content_key([*parts, ('python', sys.version.encode())])}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache / "locks" / name, f"making {name}"), timed(f"making {name}"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".make-") as folder:
                made = Path(folder) / "model"
                made.mkdir()
                fill(made)
                made.rename(target)
    return target


def _write_model(folder: Path) -> None:
    from pydoc_data.topics import topics

    import torch

    from flagscale_workloads.train.model import build_model
    from flagscale_workloads.train.tokenizer import train_tokenizer

    torch.manual_seed(0)
    text = "\n\n".join(topics[name] for name in sorted(topics))
    tokenizer = train_tokenizer(4096, texts=iter([text]))
    tokenizer.chat_template = CHAT_TEMPLATE
    ends = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id}
    model = build_model(SPEC, vocabulary=len(tokenizer), **ends)
    _learn(model, torch.tensor(tokenizer(text)["input_ids"]))
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def _learn(model: Any, tokens: Any) -> None:
    import torch

    from flagscale_workloads.train.model import build_optimizer

    optimizer = build_optimizer(model, spec=SPEC)
    for _ in range(STEPS):
        starts = torch.randint(len(tokens) - SEQUENCE_TOKENS, (BATCH,)).tolist()
        rows = torch.stack([tokens[start : start + SEQUENCE_TOKENS] for start in starts])
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=rows, labels=rows).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _write_gguf(folder: Path) -> None:
    from flagscale_workloads.compress.gguf_export import export_gguf

    export_gguf(tiny_model(), folder / "model.gguf", dtype="f16")

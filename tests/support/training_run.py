"""A tiny run: seconds for hundreds of steps on one core."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flagscale_api.runtime.train import TrainRunConfig

ROOT = Path(__file__).parents[2]
MODEL = {
    "hiddenSize": 16,
    "intermediateSize": 32,
    "layers": 1,
    "attentionHeads": 2,
    "keyValueHeads": 1,
}
SENTENCE = "The {} quick brown foxes jump over the {} lazy dogs, and nobody minds.\n"


def text(lines: int = 400) -> str:
    return "".join(SENTENCE.format(n, n * 7 % 31) for n in range(lines))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Threads would only wait for each other over a model this small."""
    torch.set_num_threads(1)


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., TrainRunConfig]:
    """A run over text in tmp_path/data; keyword arguments replace parts of the trainer."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text(text())

    def make(*, attempt: int = 1, **parts: Any) -> TrainRunConfig:
        trainer = {
            "model": MODEL,
            "tokenizer": {"vocabSize": 300},
            "data": {"path": str(folder), "sequenceLength": 16},
            "output": {"path": str(tmp_path / "out")},
            **{name: part for name, part in parts.items() if name != "schedule"},
            "schedule": {"steps": 6, "globalBatchSize": 4, "microBatchSize": 2,
                         "warmupSteps": 2, "evalInterval": 3, **parts.get("schedule", {})},
        }  # fmt: skip
        about = {"namespace": "team", "name": "job", "uid": "uid-1", "attempt": attempt}
        return TrainRunConfig.model_validate({"trainer": trainer, **about})

    return make


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the module as a process of its own; `ranks` > 1 goes through torchrun."""

    def start(config: TrainRunConfig, *, ranks: int = 1, **environ: str) -> subprocess.Popen[str]:
        path = tmp_path / f"config-{config.attempt}.json"
        path.write_text(config.model_dump_json(by_alias=True))
        launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}"] if ranks > 1 else []
        sources = [str(ROOT / "workloads/src"), str(ROOT / "crds/src")]
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("KUBEFLOW_")},
            "PYTHONPATH": os.pathsep.join(sources),
            "FLAGSCALE_TRAIN_CONFIG": str(path),
            "OMP_NUM_THREADS": "1",
            "HOME": str(tmp_path),
            **environ,
        }
        command = [sys.executable, *launcher, "-m", "flagscale_workloads.train"]
        return subprocess.Popen(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    return start

"""The samples on this machine; tests/e2e/test_runner.py has the same table in a cluster."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flagscale_runner.base import KINDS, Target
from flagscale_runner.local.runner import LocalRunner
from support.engines.environment import engine_python
from support.runner_samples import (
    HERE,
    TABLE,
    TRAINED,
    Sample,
    begun,
    seen_of,
)
from support.training_run import text


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRunner]:
    folder: Path = tmp_path_factory.mktemp("samples")
    (folder / "data").mkdir()
    (folder / "data" / "corpus.txt").write_text(text())
    found = LocalRunner.of({**os.environ, "FLAGSCALE_HOME": str(folder / "home")})
    found.use_folder("default", "data", folder / "data")
    found.use_engine("llamacpp", engine_python("llamacpp"))
    begun(found, "none/of-this-machine:1", "default", (*TABLE, *HERE))
    yield found
    for kind in KINDS:
        for body in found.resources(kind):
            found.stop(Target(kind, "default", body["metadata"]["name"]))


@pytest.mark.parametrize("sample", [TRAINED, *TABLE, *HERE], ids=lambda sample: sample.name)
def test_a_sample_ends_as_the_table_says(runner: LocalRunner, sample: Sample) -> None:
    found, body = seen_of(runner, sample, "default", "local")
    assert found == sample.wanted, body["status"]
    notes = [c["message"] for c in body["status"]["conditions"] if c["type"] == "Simplified"]
    assert "".join(notes) == sample.noted

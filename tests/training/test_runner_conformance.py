"""The table that every runner keeps, on this machine; tests/e2e has the same in a cluster."""

import os
from pathlib import Path

import pytest

from flagscale_runner.local.runner import LocalRunner
from support.runner_conformance import CASES, Case, outcome
from support.training_run import text


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> LocalRunner:
    folder: Path = tmp_path_factory.mktemp("conformance")
    (folder / "data").mkdir()
    (folder / "data" / "corpus.txt").write_text(text())
    found = LocalRunner.of({**os.environ, "FLAGSCALE_HOME": str(folder / "home")})
    found.use_folder("default", "data", folder / "data")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_job_ends_as_the_table_says(runner: LocalRunner, case: Case) -> None:
    found = outcome(
        runner, case, image="none/of-this-machine:1", namespace="default", where="local"
    )
    assert found == case.wanted

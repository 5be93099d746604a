"""The samples in the cluster; tests/training has the same table on one machine."""

from collections.abc import Iterator

import pytest

from flagscale_runner.base import RunnerError
from flagscale_runner.cluster.runner import ClusterRunner
from support.runner_samples import (
    TABLE,
    TOOL_FILES,
    TRAINED,
    Sample,
    begun,
    first_document,
    seen_of,
)
from support.workspace import Workspace


@pytest.fixture(scope="module")
def runner(workspace: Workspace) -> Iterator[ClusterRunner]:
    with ClusterRunner.of({"KUBECONFIG": str(workspace.target.kubeconfig)}) as found:
        begun(found, workspace.images["trainer"], workspace.namespace, TABLE)
        yield found


@pytest.mark.parametrize("sample", [TRAINED, *TABLE], ids=lambda sample: sample.name)
def test_a_sample_ends_as_the_table_says(
    runner: ClusterRunner, workspace: Workspace, sample: Sample
) -> None:
    found, body = seen_of(runner, sample, workspace.namespace, "cluster")
    assert found == sample.wanted, body["status"]


@pytest.mark.parametrize("file", TOOL_FILES)
def test_tools_are_not_run_and_it_is_said(runner: ClusterRunner, file: str) -> None:
    with pytest.raises(
        RunnerError, match=r"is not run but looked up; .* `flagscale match` its file"
    ):
        runner.submit(first_document(file))

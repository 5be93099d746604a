import re
from pathlib import Path

import pytest

from flagscale_runner.base import RunnerError
from flagscale_runner.documents import mistakes, read_documents
from support.demo.target import SAMPLES

JOB = """
apiVersion: flagscale.dev/v1alpha1
kind: TrainJob
metadata: {{name: {name}}}
spec:
  {field}
  trainer: {{data: {{path: /data/a}}, output: {{path: /data/b}}}}
  volumes: {{data: {{claimName: data, mountPath: /data}}}}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda p: p.name)
def test_every_sample_is_valid(sample: Path) -> None:
    assert list(mistakes(sample)) == []


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [
        ("job", "replicas: 0", "spec.replicas: .* got 0"),
        ("job", "replica: 2", "spec.replica: Extra inputs are not permitted, got 2"),
        ("Job_1", "replicas: 1", "is no DNS label, got 'Job_1'"),
        ("1job", "replicas: 1", "must be a DNS-1035 label.*, got '1job'"),
        ("j" * 46, "replicas: 1", "at most 45 characters.*; choose another"),
    ],
)
def test_a_mistake_names_field_and_value(tmp_path: Path, name: str, field: str, said: str) -> None:
    (found,) = mistakes(written(tmp_path, JOB.format(name=name, field=field)))
    assert re.search(said, found), found


@pytest.mark.parametrize("text", ["", "- 1", "a: ["])
def test_a_file_that_holds_no_resource_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RunnerError, match=r"job\.yaml: (holds no|a document is no|can't be read)"):
        read_documents(written(tmp_path, text))


def test_a_foreign_kind_is_refused(tmp_path: Path) -> None:
    (found,) = mistakes(written(tmp_path, "apiVersion: v1\nkind: Pod"))
    assert "kind: is not ours, got v1 Pod" in found


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="can't be read"):
        read_documents(tmp_path / "none.yaml")

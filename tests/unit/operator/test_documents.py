"""`render FILE` refuses what the API server would refuse, by field."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_operator.documents import read_documents
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.render import run_render
from flagscale_operator.settings import Settings, load_settings
from support.inference_services import SPEC
from support.spec_schema import merged

SERVICE: dict[str, Any] = {
    "apiVersion": "flagscale.dev/v1alpha1",
    "kind": "InferenceService",
    "metadata": {"name": "svc"},
    "spec": SPEC,
}


def written(tmp_path: Path, change: dict[str, Any]) -> Path:
    file = tmp_path / "file.yaml"
    file.write_text(yaml.safe_dump(merged(copy.deepcopy(SERVICE), change)))
    return file


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"spec": {"replcias": 2}}, "spec.replcias: Extra inputs are not permitted, got 2"),
        ({"spec": {"engine": {"divice": "cpu"}}}, "spec.engine.divice: "),
        ({"replicas": 2}, "replicas: is no field of it"),
        ({"metadata": {"name": "Svc_1"}}, "metadata.name: must be a DNS-1035 label"),
        ({"metadata": {"name": "1svc"}}, "metadata.name: must be a DNS-1035 label"),
        ({"metadata": {"name": "s" * 46}}, "metadata.name: must be at most 45 characters"),
        ({"apiVersion": "flagscale.dev/v2"}, "apiVersion: is unknown, got flagscale.dev/v2"),
    ],
)
def test_a_field_or_name_that_is_none_is_refused(
    change: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_render(written(tmp_path, change), Settings()) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "InferenceService" in shown.err
    assert told in shown.err


def test_objects_of_other_kinds_are_not_judged() -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a.b"}, "data": {}}
    assert read_documents(yaml.safe_dump(other)) == [other]


def test_a_wrong_setting_says_what_to_do() -> None:
    with pytest.raises(InvalidSpecError, match=r"FLAGSCALE_WORKERS: .*, got '0'; correct the var"):
        load_settings({"FLAGSCALE_WORKERS": "0"})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"image": "m", "replicas": 3}', r"FLAGSCALE_MATCHER\.replicas: .* got 3"),
        ('{"image": ""}', r"FLAGSCALE_MATCHER\.image: "),
        ("{", "FLAGSCALE_MATCHER: .* got '{'"),
    ],
)
def test_a_matcher_that_cant_be_read_is_told_by_field_and_value(said: str, told: str) -> None:
    with pytest.raises(InvalidSpecError, match=told):
        load_settings({"FLAGSCALE_MATCHER": said})

"""What the API server itself refuses, accepts and shows: no operator runs here."""

import json
from typing import Any

import pytest
import yaml

from flagscale_api.v1alpha1.train_job_rules import IMMUTABLE, IMMUTABLE_OPTIONAL
from flagscale_api.v1alpha1.train_job_status import TRAIN_JOB
from support.install import ROOT
from support.kubectl import Kubectl
from support.spec_schema import merged

pytestmark = pytest.mark.usefixtures("crds")
SAMPLES = sorted(ROOT.glob("crds/samples/**/trainjob*.yaml"))
TRAINER: dict[str, Any] = {
    "trainer": {"data": {"path": "/data/corpus.txt"}, "output": {"path": "/data/out"}},
    "volumes": {"data": {"claimName": "claim", "mountPath": "/data"}},
}
SCRIPT: dict[str, Any] = {"image": "registry.example/train:1", "command": ["python3", "train.py"]}


def train_job(spec: dict[str, Any], name: str = "job") -> dict[str, Any]:
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": spec,
    }


def refusal(kubectl: Kubectl, namespace: str, manifest: dict[str, Any]) -> str:
    done = kubectl.apply(manifest, namespace)
    assert done.returncode == 1, done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"trainer": {"model": {"hidden": 1}}}, 'unknown field "spec.trainer.model.hidden"'),
        ({"replica": 2}, 'unknown field "spec.replica"'),
        ({"replicas": "two"}, "spec.replicas"),
        ({"replicas": 0}, "spec.replicas: Invalid value: 0"),
        ({"replicas": 513}, "spec.replicas: Invalid value: 513"),
        ({"trainer": {"precision": "fp8"}}, "spec.trainer.precision: Unsupported value"),
        ({"trainer": {"data": {"path": "data"}}}, "spec.trainer.data.path: Invalid value"),
        ({"trainer": {"schedule": {"learningRate": 0}}}, "spec.trainer.schedule.learningRate"),
        ({"trainer": {"schedule": {"steps": 5}}}, "spec.trainer.schedule.warmupSteps"),
        ({"trainer": {"model": {"attentionHeads": 7}}}, "spec.trainer.model.hiddenSize"),
        ({"resources": {"limits": {"memory": "lots"}}}, "spec.resources.limits.memory"),
        ({"env": [{"name": "A", "value": "1", "extra": 1}]}, 'unknown field "spec.env[0].extra"'),
    ],
)
def test_a_bad_field_is_refused_by_its_path(
    kubectl: Kubectl, namespace: str, change: dict[str, Any], told: str
) -> None:
    assert told in refusal(kubectl, namespace, train_job(merged(TRAINER, change)))


@pytest.mark.parametrize(
    ("change", "path", "told"),
    [
        ({"script": SCRIPT}, "spec", "exactly one of trainer and script"),
        ({"trainer": None}, "spec", "exactly one of trainer and script"),
        ({"trainer": None, "script": SCRIPT, "image": "i"}, "spec.image", "only allowed with"),
        ({"trainer": {"data": {"path": "/database/a"}}}, "spec.trainer.data.path", "must lie"),
        ({"trainer": {"output": {"path": "/other"}}}, "spec.trainer.output.path", "must lie"),
        ({"trainer": {"data": {"path": "/data/../x"}}}, "spec.trainer.data.path", "'..'"),
        ({"trainer": {"output": {"path": "/data/.."}}}, "spec.trainer.output.path", "'..'"),
        ({"volumes": {"data": {"readOnly": True}}}, "spec.trainer.output.path", "writable"),
        ({"volumes": {"b": {"claimName": "b", "mountPath": "/data"}}}, "spec.volumes", "once"),
        ({"volumes": {"b": {"claimName": "b", "mountPath": "/tmp"}}}, "spec.volumes", "operator's"),
        ({"volumes": {"B_": {"claimName": "b", "mountPath": "/b"}}}, "spec.volumes", "DNS labels"),
        ({"replicas": 3}, "spec.trainer.schedule.globalBatchSize", "must be a multiple"),
        ({"env": [{"name": "RANK", "value": "0"}]}, "spec.env", "set by the operator"),
        ({"env": [{"name": "PET_X", "value": "0"}]}, "spec.env", "set by the operator"),
        ({"env": [{"name": "A"}]}, "spec.env", "exactly one of value and secretKeyRef"),
        ({"env": [{"name": "A", "value": "1"}] * 2}, "spec.env[1]", "Duplicate"),
        ({"podTemplate": {"labels": {"a b": "c"}}}, "spec.podTemplate.labels", "keys must be"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    kubectl: Kubectl, namespace: str, change: dict[str, Any], path: str, told: str
) -> None:
    words = refusal(kubectl, namespace, train_job(merged(TRAINER, change)))
    assert f"{path}: " in words
    assert told in words


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("trainer", {"trainer": {"schedule": {"steps": 300}}}),
        ("image", {"image": "other"}),
        ("queueName", {"queueName": "other"}),
        ("replicas", {"replicas": 1}),
        ("processesPerReplica", {"processesPerReplica": 2}),
        ("resources", {"resources": {"limits": {"memory": "2Gi"}}}),
        ("env", {"env": [{"name": "A", "value": "2"}]}),
        ("volumes", {"volumes": {"data": {"claimName": "other"}}}),
        ("podTemplate", {"podTemplate": {"labels": {"a": "c"}}}),
    ],
)
def test_an_immutable_field_cannot_change(
    kubectl: Kubectl, namespace: str, field: str, change: dict[str, Any]
) -> None:
    trainer = {"schedule": {"globalBatchSize": 8, "microBatchSize": 2}}
    first = merged(TRAINER, {"trainer": trainer, "replicas": 2, "queueName": "q", "image": "i"})
    assert kubectl.apply(train_job(first), namespace).returncode == 0
    words = refusal(kubectl, namespace, train_job(merged(first, change)))
    assert f"spec.{field}: is immutable" in words


def test_a_script_cannot_change_nor_vanish(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl.apply(train_job({"script": SCRIPT}), namespace).returncode == 0
    for changed in ({"script": {**SCRIPT, "args": ["-v"]}}, TRAINER):
        words = refusal(kubectl, namespace, train_job(changed))
        assert "spec.script: is immutable" in words


def test_every_field_is_either_immutable_or_may_change(kubectl: Kubectl, namespace: str) -> None:
    changes = {
        "suspend": True,
        "failurePolicy": {"backoffSeconds": 20},
        "activeDeadlineSeconds": 100,
        "ttlSecondsAfterFinished": 5,
        "suspendTimeoutSeconds": 7,
    }
    assert kubectl.apply(train_job(TRAINER), namespace).returncode == 0
    done = kubectl.apply(train_job(merged(TRAINER, changes)), namespace)
    assert done.returncode == 0, done.stderr
    fields = {f.alias for f in TRAIN_JOB.spec_model.model_fields.values()}
    assert fields == {*changes, *IMMUTABLE, *IMMUTABLE_OPTIONAL}


@pytest.mark.parametrize("name", ["a" * 46, "1st", "a.b"])
def test_a_name_that_its_pods_could_not_carry_is_refused(
    kubectl: Kubectl, namespace: str, name: str
) -> None:
    assert "metadata.name: must be" in refusal(kubectl, namespace, train_job(TRAINER, name))


def test_the_longest_name_is_accepted(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl.apply(train_job(TRAINER, "a" * 45), namespace).returncode == 0


def test_a_missing_spec_is_refused(kubectl: Kubectl, namespace: str) -> None:
    manifest = {k: v for k, v in train_job({}).items() if k != "spec"}
    assert "spec: Required value" in refusal(kubectl, namespace, manifest)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_accepted(kubectl: Kubectl, namespace: str, sample: Any) -> None:
    manifest = yaml.safe_load(sample.read_text())
    manifest["metadata"].pop("namespace", None)
    done = kubectl.apply(manifest, namespace)
    assert (done.returncode, done.stderr) == (0, "")


def test_defaults_are_filled_in_at_apply(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(train_job(TRAINER), namespace)
    stored = json.loads(kubectl("get", "tj", "job", "-n", namespace, "-o", "json").stdout)["spec"]
    model = TRAIN_JOB.spec_model.model_validate(TRAINER)
    assert stored == json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def spec_schema() -> dict[str, Any]:
    version = yaml.safe_load((ROOT / "crds" / "trainjobs.flagscale.dev.yaml").read_text())["spec"][
        "versions"
    ][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def test_explain_shows_every_field(kubectl: Kubectl) -> None:
    lines = kubectl("explain", "trainjob.spec", "--recursive").stdout.splitlines()
    shown = [line.split("\t")[0].strip() for line in lines if "\t<" in line]
    assert shown == [path.rpartition(".")[2] for path in in_order(spec_schema())]


def in_order(schema: dict[str, Any], path: str = "trainjob.spec") -> list[str]:
    """Paths as `kubectl explain` lists them: sorted within each object."""
    paths = []
    for name in sorted(schema.get("properties", {})):
        child = schema["properties"][name]
        inner = child.get("items", child.get("additionalProperties", child))
        paths += [f"{path}.{name}", *in_order(inner, f"{path}.{name}")]
    return paths


def test_explain_describes_a_nested_field(kubectl: Kubectl) -> None:
    told = kubectl("explain", "trainjob.spec.trainer.schedule.warmupSteps").stdout
    assert "Steps of linear warm-up." in told


def test_get_shows_the_columns_of_the_status(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(train_job(TRAINER), namespace)
    status = {
        "phase": "Running",
        "restarts": 2,
        "progress": {"percent": 40, "loss": "3.21", "tokensPerSecond": "900", "eta": "2m30s"},
    }
    patch = json.dumps({"status": status})
    flags = ("-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    assert kubectl("patch", "tj", "job", *flags).returncode == 0
    for resource in ("trainjobs", "flagscale"):
        header, row = kubectl("get", resource, "-n", namespace).stdout.splitlines()
        columns = ["NAME", "PHASE", "PROGRESS", "LOSS", "TOKENS/S", "ETA", "RESTARTS", "AGE"]
        assert header.split() == columns
        assert row.split()[1:-1] == ["Running", "40", "3.21", "900", "2m30s", "2"]
    wide = kubectl("get", "tj", "-n", namespace, "-o", "wide").stdout.split()
    assert {"STEP", "CHECKPOINT", "CAUSE"} <= set(wide)


def test_a_status_in_apply_is_ignored(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply({**train_job(TRAINER), "status": {"phase": "Succeeded"}}, namespace)
    stored = json.loads(kubectl("get", "tj", "job", "-n", namespace, "-o", "json").stdout)
    assert "status" not in stored

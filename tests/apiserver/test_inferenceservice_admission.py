"""What the API server itself refuses, accepts and shows of InferenceServices: no operator runs."""

import json
import re
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec
from support.engine_settings import auto_specs
from support.inference_services import SPEC
from support.install import ROOT
from support.kubectl import Kubectl
from support.spec_schema import as_json, merged

pytestmark = pytest.mark.usefixtures("crds")
SAMPLES = sorted(ROOT.glob("crds/samples/**/inferenceservice*.yaml"))
LLAMACPP = {"model": {"file": "m.gguf"}, "engine": {"name": "llamacpp"}}
HUB = {"volume": None, "huggingFace": {"repo": "acme/tiny", "revision": "main"}}


def web(uri: str) -> dict[str, Any]:
    return {"volume": None, "uri": uri}


def service(spec: dict[str, Any], name: str = "svc") -> dict[str, Any]:
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": spec,
    }


def refusal(kubectl: Kubectl, namespace: str, spec: dict[str, Any]) -> str:
    done = kubectl.apply(service(spec), namespace)
    assert done.returncode == 1, done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"replica": 2}, 'unknown field "spec.replica"'),
        ({"engine": {"tensor": 2}}, 'unknown field "spec.engine.tensor"'),
        ({"replicas": -1}, "spec.replicas: Invalid value: -1"),
        ({"autoscaling": {"minReplicas": 1}}, "spec.autoscaling.maxReplicas: Required value"),
        ({"replicas": 65}, "spec.replicas: Invalid value: 65"),
        ({"engine": {"name": "triton"}}, "spec.engine.name: Unsupported value"),
        ({"model": None}, "spec.model: Required value"),
        ({"model": {"volume": {"path": "/absolute"}}}, "spec.model.volume.path: Invalid value"),
        ({"model": {"file": "model.bin"}}, "spec.model.file: Invalid value"),
        ({"routing": {"policy": "random"}}, "spec.routing.policy: Unsupported value"),
        ({"limits": {"queueTimeoutSeconds": 0}}, "spec.limits.queueTimeoutSeconds"),
        ({"auth": {"apiKeysSecretRef": {"name": "a"}}}, "apiKeysSecretRef.key: Required value"),
        ({"podTemplate": {"terminationGracePeriodSeconds": 30}}, "terminationGracePeriodSeconds"),
    ],
)
def test_a_bad_field_is_refused_by_its_path(
    kubectl: Kubectl, namespace: str, change: dict[str, Any], told: str
) -> None:
    assert told in refusal(kubectl, namespace, merged(SPEC, change))


@pytest.mark.parametrize(
    ("change", "path", "told"),
    [
        ({"model": {"trainJobRef": {"name": "j"}}}, "spec.model", "exactly one of trainJobRef"),
        ({"model": {"volume": None}}, "spec.model", "exactly one of trainJobRef"),
        ({"model": {"volume": {"path": "a/../b"}}}, "spec.model.volume.path", "may not leave"),
        ({"model": {"file": "m.gguf"}}, "spec.model.file", "is needed for engine llamacpp"),
        ({"engine": {"name": "llamacpp"}}, "spec.model.file", "is needed for engine llamacpp"),
        (
            {"autoscaling": {"maxReplicas": 2}, "replicas": 2},
            "spec.replicas",
            "the autoscaler's",
        ),
        (
            {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
            "spec.autoscaling.minReplicas",
            "exceeds maxReplicas",
        ),
        ({"engine": {"name": "diffusers"}}, "spec.engine.name", "not offered yet; use transform"),
        ({"engine": {"name": "sglang", "dtype": "float16"}}, "spec.engine.dtype", "use auto, bf"),
        ({"engine": {"name": "sglang", "tensorParallel": 2}}, "spec.engine.tensorParallel", "one"),
        ({"engine": {"name": "simulator", "device": "cuda"}}, "spec.engine.device", "cpu only"),
        ({"engine": {"tensorParallel": 2}}, "spec.engine.tensorParallel", "raise spec.replicas"),
        ({"engine": {"pipelineParallel": 2}}, "spec.engine.pipelineParallel", "raise spec.repl"),
        ({"engine": {"kvCacheFraction": 0.5}}, "spec.engine.kvCacheFraction", "remove it"),
        (
            {"engine": {"kvCacheTokens": 64}},
            "spec.engine.kvCacheTokens",
            "or use vllm or sglang or simulator",
        ),
        ({"engine": {"quantization": "q8_0"}}, "spec.engine.quantization", "or use llamacpp"),
        (
            {"engine": {"speculative": {"method": "ngram"}}},
            "spec.engine.speculative",
            "or use llamacpp",
        ),
        (merged(LLAMACPP, {"engine": {"dtype": "float16"}}), "spec.engine.dtype", "transformers"),
        (merged(LLAMACPP, {"engine": {"quantization": "awq"}}), "spec.engine.quantization", "f16"),
        (merged(LLAMACPP, {"engine": {"maxConcurrency": 2}}), "spec.engine.maxConcurrency", "one"),
        ({"podTemplate": {"labels": {"a b": "c"}}}, "spec.podTemplate.labels", "keys must be"),
        (
            {"engine": {"name": "auto", "device": "cuda", "kvCacheTokens": 64}},
            "spec.engine.device",
            "use cpu or auto, or transformers",
        ),
        ({"engine": {"name": "auto", "quantization": "awq"}}, "spec.engine.quantization", "int8"),
        ({"model": {**HUB, "uri": "s3://b/m"}}, "spec.model", "exactly one of trainJobRef"),
        ({"model": web("https://h/m")}, "spec.model.uri", "has no folders"),
        ({"model": web("https://h/m.tar")}, "spec.model.sha256", "is needed for an https URI"),
        ({"model": {**HUB, "sha256": "0" * 64}}, "spec.model.sha256", "is needed for an https"),
        ({"model": {**HUB, "s3": {}}}, "spec.model.s3", "is for s3:// URIs only"),
        ({"model": web("s3://b/m.gguf")}, "spec.model.file", "must be the name of the file"),
        ({"model": {"cache": {"claimName": "c"}}}, "spec.model.cache", "is about downloads"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    kubectl: Kubectl, namespace: str, change: dict[str, Any], path: str, told: str
) -> None:
    words = refusal(kubectl, namespace, merged(SPEC, change))
    assert f"{path}: " in words
    assert told in words


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_accepted(kubectl: Kubectl, namespace: str, sample: Any) -> None:
    done = kubectl.apply(yaml.safe_load(sample.read_text()), namespace)
    assert (done.returncode, done.stderr) == (0, "")


def test_defaults_are_filled_in_at_apply(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(service(SPEC), namespace)
    stored = json.loads(kubectl("get", "isvc", "svc", "-n", namespace, "-o", "json").stdout)
    assert stored["spec"] == as_json(InferenceServiceSpec.model_validate(SPEC))


def test_an_engine_need_not_be_named(kubectl: Kubectl, namespace: str) -> None:
    spec = {"model": SPEC["model"]}
    assert kubectl.apply(service(spec), namespace).returncode == 0
    stored = json.loads(kubectl("get", "isvc", "svc", "-n", namespace, "-o", "json").stdout)
    assert stored["spec"]["engine"]["name"] == "auto"
    assert stored["spec"] == as_json(InferenceServiceSpec.model_validate(spec))


def sentence(spec: dict[str, Any]) -> str:
    """What the model says against a spec; nothing: it takes it."""
    try:
        InferenceServiceSpec.model_validate(spec)
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return ""


def test_the_engine_that_auto_stands_for_is_judged_alike(kubectl: Kubectl, namespace: str) -> None:
    specs = {f"s-{n}": spec for n, spec in enumerate(auto_specs(120))}
    documents = [service(spec, name) for name, spec in specs.items()]
    flags = ("--dry-run=server", "-n", namespace, "-f", "-")
    done = kubectl("apply", *flags, text=yaml.safe_dump_all(documents))

    _, *parts = re.split(r'InferenceService\S* "(s-\d+)" is invalid', done.stderr)
    refused = dict(zip(parts[::2], parts[1::2], strict=True))
    expected = {name: words for name, spec in specs.items() if (words := sentence(spec))}
    assert set(refused) == set(expected), done.stderr[:2000]
    assert [n for n, words in expected.items() if words not in refused[n]] == []
    assert 20 < len(refused) < 100


@pytest.mark.parametrize("file", ["m.gguf", None])
def test_an_engine_that_is_not_named_is_judged_as_the_one_it_comes_to(
    kubectl: Kubectl, namespace: str, file: str | None
) -> None:
    unnamed = merged(SPEC, {"engine": None, "model": {"file": file}, "runtime": None})
    done = kubectl.apply(service(unnamed), namespace)
    assert done.returncode == 0, done.stderr
    stored = json.loads(kubectl("get", "isvc", "svc", "-n", namespace, "-o", "json").stdout)
    assert stored["spec"]["engine"]["name"] == "auto"

    # Of llamacpp alone; then of vllm alone.
    remedy = "vllm" if file else "raise spec.replicas"
    wrong = {"kvCacheTokens": 64} if file else {"tensorParallel": 2}
    assert remedy in refusal(kubectl, namespace, merged(unnamed, {"engine": wrong}))
    told = refusal(
        kubectl, namespace, merged(unnamed, {"model": {"file": None if file else "n.gguf"}})
    )
    assert "spec.runtime: can't be changed" in told


def test_arguments_of_an_engine_are_of_any_scalar_type(kubectl: Kubectl, namespace: str) -> None:
    arguments = {"a": 1, "b": 0.5, "c": True, "d": "x"}
    done = kubectl.apply(service(merged(SPEC, {"engine": {"extraArgs": arguments}})), namespace)
    assert done.returncode == 0, done.stderr
    stored = json.loads(kubectl("get", "isvc", "svc", "-n", namespace, "-o", "json").stdout)
    assert stored["spec"]["engine"]["extraArgs"] == arguments


def test_everything_may_change(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl.apply(service(SPEC), namespace).returncode == 0
    changed = merged(SPEC, merged(LLAMACPP, {"model": {"name": "other"}, "replicas": 3}))
    done = kubectl.apply(service(changed), namespace)
    assert done.returncode == 0, done.stderr


def test_explain_describes_a_nested_field(kubectl: Kubectl) -> None:
    told = kubectl("explain", "isvc.spec.limits.queueSize").stdout
    assert "Requests that may wait" in told


def test_get_shows_the_columns_of_the_status(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(service(SPEC), namespace)
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {
        "phase": "Ready",
        "url": "http://svc.ns.svc:80/v1",
        "model": {"name": "tiny", "state": "Loaded"},
        "engine": "transformers",
        "replicas": {"ready": 1, "total": 1, "summary": "1/1"},
        "revision": "abc",
        "conditions": [condition],
    }
    flags = ("-n", namespace, "--subresource=status", "--type=merge")
    patch = json.dumps({"status": status})
    assert kubectl("patch", "isvc", "svc", *flags, "-p", patch).returncode == 0
    for resource in ("inferenceservices", "flagscale"):
        header, row = kubectl("get", resource, "-n", namespace).stdout.splitlines()
        columns = ["NAME", "READY", "URL", "MODEL", "ENGINE", "REPLICAS", "AGE"]
        assert header.split() == columns
        shown = ["True", "http://svc.ns.svc:80/v1", "tiny", "transformers", "1/1"]
        assert row.split()[1:-1] == shown
    wide = kubectl("get", "isvc", "-n", namespace, "-o", "wide").stdout.split()
    assert {"REVISION", "REASON", "abc", "Serving"} <= set(wide)

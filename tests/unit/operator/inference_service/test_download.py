"""A model that is downloaded: what pods get, and what status says of how it goes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.runtime.download import DOWNLOAD_REASONS, DownloadConfig, DownloadOutcome
from flagscale_api.v1alpha1.inference_service import ServedModelSpec
from flagscale_operator.kinds.inference_service.download import folder_name
from flagscale_operator.kinds.inference_service.download_state import observe_download
from flagscale_operator.kinds.inference_service.facts import Observed, observe_serving_pod
from flagscale_operator.kinds.inference_service.source import find_source
from flagscale_operator.kinds.inference_service.view import ServiceView
from support.inference_services import (
    engine_pod,
    gateway_pod,
    make_service,
    ready,
    step,
    stored,
)

HUB: dict[str, Any] = {"repo": "acme/tiny", "revision": "main"}
TOKEN = {"name": "hub", "key": "token"}
OUTCOME = DownloadOutcome(message="3 files, 1.0 GiB", revision="c0ffee", digest="sha256:1")
Manifest = dict[str, Any]


def from_hub(**model: Any) -> dict[str, Any]:
    return {"model": {"volume": None, "huggingFace": HUB, **model}}


def pod_spec(**model: Any) -> Manifest:
    _, decided = step(make_service(**from_hub(**model)), Observed({}))
    engine = next(body for _, body in decided.apply if body["metadata"]["name"] == "svc-engine")
    spec: Manifest = engine["spec"]["template"]["spec"]
    return spec


def container_status(state: str, /, message: str = "", **fields: Any) -> Manifest:
    told = {"message": message, **fields} if state == "terminated" else fields
    return {"initContainerStatuses": [{"name": "download", "state": {state: told}}]}


def serving_download(**pod: Any) -> tuple[ServiceView, Observed]:
    """A service with one engine pod, whose download is as told."""
    service, first = step(make_service(**from_hub()), Observed({}))
    base = engine_pod(service.status.revision, ready=False, running=False)
    made = stored(first)
    key = ("Deployment", "svc-engine")
    status = {**made[key]["status"], "readyReplicas": 0}
    made[key] = {**made[key], "status": status}
    return service, Observed(made, (replace(base, **pod), gateway_pod()))


def test_secrets_reach_the_download_alone() -> None:
    ca = {"name": "ca", "key": "ca.crt"}
    spec = pod_spec(huggingFace={**HUB, "tokenSecretRef": TOKEN}, caSecretRef=ca)
    (download,), (engine,) = spec["initContainers"], spec["containers"]
    config = DownloadConfig.model_validate_json(download["env"][0]["value"])

    mounted = {mount["name"] for mount in download["volumeMounts"]}
    assert mounted - {m["name"] for m in engine["volumeMounts"]} == {"download-secrets"}
    assert config.token_file == "/etc/flagscale-download/token"
    assert config.ca_file == "/etc/flagscale-download/ca.pem"
    assert all("valueFrom" not in variable for variable in download["env"])


def test_the_download_meets_pod_security_restricted_and_has_one_folder_to_write_to() -> None:
    (download,) = pod_spec()["initContainers"]

    assert download["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert [m["mountPath"] for m in download["volumeMounts"]] == ["/models/.downloaded"]


@pytest.mark.parametrize("cache", [None, {"claimName": "models"}])
def test_the_engine_reads_what_the_download_writes(cache: Any) -> None:
    spec = pod_spec(cache=cache)
    (download,), (engine,) = spec["initContainers"], spec["containers"]
    written, read = (c["volumeMounts"][0] for c in (download, engine))
    config = DownloadConfig.model_validate_json(download["env"][0]["value"])

    assert {**written, "readOnly": True} == read
    assert config.folder.startswith(f"{read['mountPath']}/")
    volume = next(v for v in spec["volumes"] if v["name"] == "model")
    claim = {"persistentVolumeClaim": {"claimName": "models"}}
    assert {"name": "model", **(claim if cache else {"emptyDir": {}})} == volume


def test_kubernetes_expands_nothing_in_a_uri() -> None:
    uri = "s3://models/$(HOME)/tiny"
    spec = pod_spec(huggingFace=None, uri=uri)
    value = spec["initContainers"][0]["env"][0]["value"]

    assert json.loads(value.replace("$$", "$"))["uri"] == uri
    assert "$$(HOME)" in value


def test_a_running_download_is_told() -> None:
    fact = observe_download(container_status("running"))
    service, seen = serving_download(download=fact)

    service, decided = step(service, seen, 20)

    assert ready(decided)[:2] == ("False", "Downloading")
    assert "kubectl logs svc-engine-0 -c download" in ready(decided)[2]
    assert service.status.phase == "Loading"
    assert service.status.model is not None
    assert service.status.model.state == "Downloading"
    assert service.status.model.uri == "hf://acme/tiny@main"


@pytest.mark.parametrize("reason", sorted(DOWNLOAD_REASONS))
def test_a_failed_download_is_a_condition_with_its_own_words(reason: Any) -> None:
    words = DownloadOutcome(reason=reason, message="spec.model.x: is wrong; do this")
    fact = observe_download(
        container_status("terminated", words.model_dump_json(), exitCode=1, reason="Error")
    )
    service, seen = serving_download(download=fact)

    service, decided = step(service, seen, 20)

    assert ready(decided)[:2] == ("False", reason)
    assert "svc-engine-0 has no model: spec.model.x: is wrong; do this" in ready(decided)[2]
    assert service.status.phase == "Failed"
    assert service.status.model is not None
    assert service.status.model.state == "FailedToLoad"
    assert service.status.model.last_failure is not None
    assert service.status.model.last_failure.reason == reason


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"exitCode": 137, "reason": "OOMKilled"}, "want of memory"),
        ({"exitCode": 1, "message": "ImportError: x"}, "exited with code 1: ImportError: x"),
        ({"exitCode": 1, "message": '{"reason": "Other"}'}, "exited with code 1"),
    ],
)
def test_a_download_that_says_nothing_of_its_own_is_told_all_the_same(
    fields: dict[str, Any], told: str
) -> None:
    fact = observe_download(container_status("terminated", **fields))
    service, seen = serving_download(download=fact)

    _, decided = step(service, seen, 20)

    assert ready(decided)[1] == "ModelDownloadFailed"
    assert told in ready(decided)[2]


def test_a_download_image_that_can_not_be_pulled_is_told() -> None:
    waiting = container_status("waiting", reason="ErrImagePull", message="no such image")
    pod = {
        "metadata": {"name": "p", "labels": {}},
        "status": {**waiting, "containerStatuses": [{"name": "serve", "state": {
            "waiting": {"reason": "PodInitializing"}}}]},
    }  # fmt: skip
    assert observe_serving_pod(pod).waiting_reason == "ErrImagePull"


def test_what_was_downloaded_is_recorded_and_outlives_its_pod() -> None:
    fact = observe_download(
        container_status("terminated", OUTCOME.model_dump_json(), exitCode=0, reason="Completed")
    )
    service, seen = serving_download(download=fact, running=True)

    service, _ = step(service, seen, 20)
    known = service.status.model
    service, _ = step(service, replace(seen, pods=()), 30)

    assert known is not None
    assert (known.digest, known.commit) == ("sha256:1", "c0ffee")
    assert service.status.model is not None
    assert (service.status.model.digest, service.status.model.commit) == ("sha256:1", "c0ffee")


def test_a_pod_without_a_download_has_none() -> None:
    assert observe_download({"initContainerStatuses": [{"name": "istio-init"}]}) is None


MODELS = st.fixed_dictionaries(
    {
        "huggingFace": st.fixed_dictionaries(
            {"repo": st.sampled_from(["a/m", "b/m"]), "revision": st.sampled_from(["main", "v1"])},
            optional={"endpoint": st.sampled_from(["https://a", "https://b"])},
        )
    },
    optional={"file": st.sampled_from(["a.gguf", "b.gguf"])},
)


@given(one=MODELS, other=MODELS)
def test_different_downloads_never_share_a_folder(one: Any, other: Any) -> None:
    first, second = (ServedModelSpec.model_validate(m) for m in (one, other))
    assert (folder_name(first) == folder_name(second)) == (one == other)


def test_another_token_or_cache_is_no_other_model() -> None:
    plain = ServedModelSpec.model_validate({"huggingFace": HUB})
    hub = {**HUB, "tokenSecretRef": TOKEN}
    other = ServedModelSpec.model_validate({"huggingFace": hub, "cache": {"claimName": "c"}})

    assert folder_name(plain) == folder_name(other)
    assert find_source(plain, None, None) != find_source(other, None, None)

"""What an InferenceService becomes: golden pairs cr.yaml -> children.yaml, and invariants."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_api.runtime.serve import ServeConfig
from flagscale_operator.kinds.inference_service.render import render_children, revision_of
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.render import RenderContexts, render_documents
from support.inference_services import CONTEXT, make_service

GOLDEN = Path(__file__).parents[3] / "golden" / "inference_service"
TRAINING = RenderContext("trainer", "https://progress", "CA PEM")
SOURCE = ModelSource("models", "tiny/model", "sha256:1")
Manifest = dict[str, Any]


@pytest.mark.parametrize("case", sorted(p.name for p in GOLDEN.iterdir()))
def test_a_service_becomes_the_golden_children(case: str) -> None:
    documents = list(yaml.safe_load_all((GOLDEN / case / "cr.yaml").read_text()))

    rendered = render_documents(documents, RenderContexts(TRAINING, CONTEXT))
    children = [manifest for manifest in rendered if manifest["kind"] != "PyTorchJob"]

    assert children == list(yaml.safe_load_all((GOLDEN / case / "children.yaml").read_text()))


def children(**spec: Any) -> dict[str, Manifest]:
    rendered = render_children(make_service(**spec), SOURCE, CONTEXT)
    return {f"{kind.kind}/{body['metadata']['name']}": body for kind, body in rendered}


def pod_of(deployment: Manifest) -> Manifest:
    template: Manifest = deployment["spec"]["template"]
    return template


def config_of(deployment: Manifest) -> ServeConfig:
    text = pod_of(deployment)["metadata"]["annotations"]["flagscale.dev/serve-config"]
    return ServeConfig.model_validate(json.loads(text))


@pytest.mark.parametrize("component", ["engine", "gateway"])
def test_pods_meet_pod_security_restricted(component: str) -> None:
    spec = pod_of(children()[f"Deployment/svc-{component}"])["spec"]
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False
    assert "livenessProbe" not in container


def test_running_requests_and_the_engine_have_time_within_the_grace_period() -> None:
    for grace in (40, 60, 600):
        made = children(podTemplate={"terminationGracePeriodSeconds": grace})
        engine = pod_of(made["Deployment/svc-engine"])["spec"]
        pre_stop = engine["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        drain = config_of(made["Deployment/svc-engine"]).gateway.drain_timeout_seconds

        assert drain > 0
        assert pre_stop + drain + 20 <= engine["terminationGracePeriodSeconds"] == grace


@pytest.mark.parametrize(("component", "path"), [("engine", "/health"), ("gateway", "/ready")])
def test_a_pod_that_gets_ready_is_known_within_a_second_and_then_seldom_asked(
    component: str, path: str
) -> None:
    (container,) = pod_of(children()[f"Deployment/svc-{component}"])["spec"]["containers"]
    starting, serving = container["startupProbe"], container["readinessProbe"]

    assert starting["httpGet"]["path"] == serving["httpGet"]["path"] == path
    assert (starting["periodSeconds"], serving["periodSeconds"]) == (1, 5)


def test_the_gateway_finds_the_engines_by_the_name_of_their_service() -> None:
    made = children()
    found = config_of(made["Deployment/svc-gateway"]).discovery
    service = made["Service/svc-engines"]["spec"]

    assert found is not None
    assert (found.host, found.port) == ("svc-engines.ns.svc", 8000)
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is False
    assert found.early_host == "svc-pending.ns.svc"
    assert made["Service/svc-pending"]["spec"] == {**service, "publishNotReadyAddresses": True}
    pod = pod_of(made["Deployment/svc-engine"])["metadata"]["labels"]
    assert service["selector"].items() <= pod.items()
    assert (
        not service["selector"].items()
        <= pod_of(made["Deployment/svc-gateway"])["metadata"]["labels"].items()
    )


def test_keys_reach_the_gateway_alone() -> None:
    made = children(auth={"apiKeysSecretRef": {"name": "keys", "key": "k"}})
    gateway, engine = made["Deployment/svc-gateway"], made["Deployment/svc-engine"]
    auth = config_of(gateway).auth

    assert auth is not None
    assert auth.keys_file == "/etc/flagscale/keys.json"
    assert "secret" in str(pod_of(gateway)["spec"]["volumes"])
    assert config_of(engine).auth is None
    assert "secret" not in str(pod_of(engine)["spec"]["volumes"])


def test_a_disruption_budget_needs_a_second_replica() -> None:
    assert "PodDisruptionBudget/svc-engine" not in children()
    assert "PodDisruptionBudget/svc-engine" in children(replicas=2)


def test_a_new_digest_rolls_the_engines_and_not_the_gateway() -> None:
    service = make_service()
    old, new = (
        {body["metadata"]["name"]: body for _, body in render_children(service, source, CONTEXT)}
        for source in (SOURCE, ModelSource("models", "tiny/model", "sha256:2"))
    )
    assert pod_of(old["svc-engine"]) != pod_of(new["svc-engine"])
    assert old["svc-gateway"] == new["svc-gateway"]


def test_engines_check_the_digest_that_is_known() -> None:
    assert config_of(children()["Deployment/svc-engine"]).model.digest == SOURCE.digest
    assert config_of(children()["Deployment/svc-gateway"]).model.digest is None


def test_more_replicas_roll_nothing() -> None:
    one, two = children(), children(replicas=2)
    for name in ("Deployment/svc-engine", "Deployment/svc-gateway"):
        assert pod_of(one[name]) == pod_of(two[name])


def test_labels_of_the_user_never_take_a_pod_out_of_its_service() -> None:
    labels = {"flagscale.dev/owner-uid": "mine", "app.kubernetes.io/component": "x", "a": "b"}
    made = children(podTemplate={"labels": labels})
    pod = pod_of(made["Deployment/svc-engine"])["metadata"]["labels"]

    assert pod["a"] == "b"
    assert made["Service/svc-engines"]["spec"]["selector"].items() <= pod.items()


@settings(max_examples=50)
@given(
    replicas=st.integers(1, 64),
    queue=st.integers(0, 100),
    grace=st.integers(40, 3600),
    digest=st.none() | st.text("abc", max_size=4),
)
def test_rendering_twice_gives_the_same(
    replicas: int, queue: int, grace: int, digest: str | None
) -> None:
    service = make_service(
        replicas=replicas,
        limits={"queueSize": queue},
        podTemplate={"terminationGracePeriodSeconds": grace},
    )
    source = ModelSource("c", "f", digest)
    first = render_children(service, source, CONTEXT)

    assert render_children(service, source, CONTEXT) == first
    revision = revision_of(service, source, CONTEXT)
    engine = next(body for _, body in first if body["metadata"]["name"] == "svc-engine")
    assert config_of(engine).model.revision == revision


def test_the_longest_allowed_name_fits_into_the_names_of_services() -> None:
    assert len("s" * 45 + "-engines") <= 63

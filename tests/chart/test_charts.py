import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_operator.kinds.tool_matcher.render import render_matcher
from flagscale_operator.kinds.tool_matcher.wanted import MatcherWanted
from flagscale_operator.kube.kinds import (
    DEPLOYMENT,
    MATCHER_NAME,
    METRICS_API_SERVICE_NAME,
    PROGRESS_SERVICE_NAME,
)
from flagscale_operator.progress.external_metrics import GROUP_VERSION
from flagscale_operator.settings import Settings, load_settings
from support.helm import CHARTS, KUBE_VERSION, NAMESPACE, Helm

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "chart"
CASES = {
    "default": (),
    "standby": ("--set", "replicas=2"),
    "matcher": ("--set", "matcher.enabled=true", "--set", "matcher.replicas=2"),
    "narrow": ("--set", "watchNamespaces={team-a,team-b}", "--set", "imagePullSecrets={pull}"),
}
SERVING = ("--set", "serving.image=s:3", "--set", "serving.pullPolicy=Always")
DIGEST = f"sha256:{'0' * 64}"


def only(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    (found,) = (o for o in objects if o["kind"] == kind and name in o["metadata"]["name"])
    return found


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = only(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("chart", ["flagscale", "flagscale-crds"])
def test_lint_has_nothing_to_say(helm: Helm, chart: str) -> None:
    done = helm("lint", "--strict", "--kube-version", KUBE_VERSION, str(CHARTS / chart))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("case", CASES)
def test_the_chart_makes_what_was_reviewed(helm: Helm, case: str) -> None:
    """After a wanted change: `helm template` with the flags of CASES into the golden file."""
    made = helm.objects("flagscale", *CASES[case])
    assert made == [d for d in yaml.safe_load_all((GOLDEN / f"{case}.yaml").read_text()) if d]


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ("replica=2", "replica"),
        ("image.name=x", "name"),
        ("replicas=0", "replicas"),
        ("replicas=many", "replicas"),
        ("logLevel=LOUD", "logLevel"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.digest=latest", "digest"),
        ("image.repository=", "repository"),
        ("trainer.image=", "image"),
        ("serving.image=", "image"),
        ("serving.llamacppImage=", "llamacppImage"),
        ("serving.sglangImage=", "sglangImage"),
        ("serving.pullPolicy=Sometimes", "pullPolicy"),
        ("watchNamespaces={A_b}", "watchNamespaces"),
        ("watchNamespaces={a,a}", "watchNamespaces"),
        ("resources.cpu=1", "cpu"),
        ("metricsApi.register=maybe", "register"),
        ("matcher.replicas=3", "replicas"),
        ("matcher.image=", "image"),
        ("matcher.enabled=perhaps", "enabled"),
        ("matcher.manageCategories=perhaps", "manageCategories"),
        ("matcher.tracing.endpoint=collector:4318", "endpoint"),
        ("tools.secretNamespaces={A_b}", "secretNamespaces"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, value: str, where: str) -> None:
    done = helm.template("flagscale", "--set", value)
    assert done.returncode != 0
    assert where in done.stderr


def described(schema: dict[str, Any], path: str = "") -> list[str]:
    missing = []
    for name, child in schema.get("properties", {}).items():
        missing += [] if child.get("description") else [f"{path}.{name}"]
        missing += described(child, f"{path}.{name}")
    return missing


def defaults(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> list[str]:
    """Values without a schema; a schema without a value is allowed for Helm's own `global` only."""
    known = schema.get("properties", {})
    unknown = [f"{path}.{name}" for name in values if known and name not in known]
    absent = [f"{path}.{name}" for name in known if name not in {*values, "global"}]
    for name, child in known.items():
        if isinstance(values.get(name), dict) and values[name]:
            unknown += defaults(values[name], child, f"{path}.{name}")
    return unknown + absent


def test_every_value_has_a_description_and_a_default() -> None:
    chart = CHARTS / "flagscale"
    schema = json.loads((chart / "values.schema.json").read_text())
    assert described(schema) == []
    assert defaults(yaml.safe_load((chart / "values.yaml").read_text()), schema) == []


def test_a_digest_wins_over_a_tag(helm: Helm) -> None:
    flags = ("--set", "image.tag=v2", "--set", f"image.digest={DIGEST}")
    image = pod_of(helm.objects("flagscale", *flags))["containers"][0]["image"]
    assert image == f"flagscale-operator@{DIGEST}"


def test_the_operator_understands_its_environment(helm: Helm) -> None:
    flags = ("--set", "logLevel=DEBUG", "--set", "trainer.image=t:2", *SERVING, *CASES["narrow"])
    pod = pod_of(helm.objects("flagscale", *flags))
    variables = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
    known = {f"FLAGSCALE_{name.upper()}" for name in Settings.model_fields}
    assert set(variables) <= known | {"POD_NAME", "POD_IP"}
    settings = load_settings({k: v for k, v in variables.items() if v is not None})
    assert settings.watch_namespaces == ("team-a", "team-b")
    assert (settings.log_level, settings.trainer_image) == ("DEBUG", "t:2")
    assert (settings.serving_image, settings.serving_pull_policy) == ("s:3", "Always")


def settings_of(objects: list[dict[str, Any]]) -> Settings:
    variables = {e["name"]: e.get("value") for e in pod_of(objects)["containers"][0]["env"]}
    return load_settings({k: v for k, v in variables.items() if v is not None})


def test_the_operator_is_told_of_the_matcher_that_it_keeps(helm: Helm) -> None:
    assert settings_of(helm.objects("flagscale")).matcher is None
    where = "http://collector.observability:4318"
    flags = (*CASES["matcher"], "--set", f"matcher.tracing.endpoint={where}", *CASES["narrow"])
    wanted = settings_of(helm.objects("flagscale", *flags)).matcher
    values = yaml.safe_load((CHARTS / "flagscale" / "values.yaml").read_text())["matcher"]
    assert wanted == MatcherWanted(
        image=values["image"],
        replicas=2,
        pull_policy=values["pullPolicy"],
        image_pull_secrets=("pull",),
        tracing_endpoint=where,
        resources=values["resources"],
    )


def test_the_matcher_runs_as_the_charts_account(helm: Helm) -> None:
    objects = helm.objects("flagscale", *CASES["matcher"])
    account = only(objects, "ServiceAccount", "matcher")["metadata"]["name"]
    wanted = settings_of(objects).matcher
    assert wanted
    made = render_matcher(wanted, namespace=NAMESPACE)[DEPLOYMENT, MATCHER_NAME]
    assert made["spec"]["template"]["spec"]["serviceAccountName"] == account


def test_ports_are_those_the_operator_listens_on(helm: Helm) -> None:
    objects = helm.objects("flagscale")
    container = pod_of(objects)["containers"][0]
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    default = Settings()
    assert ports == {
        "metrics": default.metrics_port,
        "probes": default.probe_port,
        "progress": default.progress_port,
    }
    assert {container[f"{p}Probe"]["httpGet"]["port"] for p in ("liveness", "readiness")} == {
        "probes"
    }


def test_the_progress_service_is_the_leaders_to_fill(helm: Helm) -> None:
    service = only(helm.objects("flagscale"), "Service", PROGRESS_SERVICE_NAME)
    assert "selector" not in service["spec"]
    url = Settings(namespace=NAMESPACE).effective_progress_url
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert url == f"https://{host}:{service['spec']['ports'][0]['port']}"


def test_the_load_metrics_are_registered_at_the_progress_server(helm: Helm) -> None:
    objects = helm.objects("flagscale")
    api = only(objects, "APIService")
    service = only(objects, "Service", PROGRESS_SERVICE_NAME)
    assert api["metadata"]["name"] == METRICS_API_SERVICE_NAME
    assert f"{api['spec']['group']}/{api['spec']['version']}" == GROUP_VERSION
    # The operator fills in its own authority; nobody is trusted blindly until then.
    assert not {"caBundle", "insecureSkipTLSVerify"} & set(api["spec"])
    assert api["spec"]["service"] == {
        "name": service["metadata"]["name"],
        "namespace": service["metadata"]["namespace"],
        "port": service["spec"]["ports"][0]["port"],
    }


def test_another_products_metrics_api_is_left_alone(helm: Helm) -> None:
    kinds = [o["kind"] for o in helm.objects("flagscale", "--set", "metricsApi.register=false")]
    assert "APIService" not in kinds


def test_the_metrics_service_selects_the_operators_pods(helm: Helm) -> None:
    objects = helm.objects("flagscale")
    service = only(objects, "Service", "metrics")
    deployment = only(objects, "Deployment")["spec"]
    assert service["spec"]["selector"] == deployment["selector"]["matchLabels"]
    assert (
        service["spec"]["selector"].items() <= deployment["template"]["metadata"]["labels"].items()
    )
    assert service["spec"]["ports"][0]["name"] == "metrics"


@pytest.mark.parametrize(("replicas", "strategy"), [(1, "Recreate"), (2, "RollingUpdate")])
def test_one_operator_is_replaced_and_more_roll(helm: Helm, replicas: int, strategy: str) -> None:
    objects = helm.objects("flagscale", "--set", f"replicas={replicas}")
    assert only(objects, "Deployment")["spec"]["strategy"] == {"type": strategy}


@pytest.mark.parametrize("case", CASES)
def test_pods_pass_pod_security_restricted(helm: Helm, case: str) -> None:
    objects = helm.objects("flagscale", *CASES[case])
    pods = [o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment"]
    wanted = settings_of(objects).matcher
    if wanted:
        made = render_matcher(wanted, namespace=NAMESPACE)[DEPLOYMENT, MATCHER_NAME]
        pods.append(made["spec"]["template"]["spec"])
    assert len(pods) == (2 if case == "matcher" else 1)
    for pod in pods:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] != 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        allowed = {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])
        for container in pod["containers"]:
            assert_restricted(container)


def assert_restricted(container: dict[str, Any]) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert not {"privileged", "procMount"} & set(context)
    assert not any("hostPort" in port for port in container["ports"])


def test_the_crds_outlive_their_release(helm: Helm) -> None:
    for crd in helm.objects("flagscale-crds"):
        assert crd["kind"] == "CustomResourceDefinition"
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"

"""How a gateway tells the operator its load: where, with which token, trusting whom."""

from typing import Any, Final

from flagscale_api import keys
from flagscale_api.runtime.serve import LoadReportSpec
from flagscale_operator.kinds.pod_parts import CONFIG_DIR

Manifest = dict[str, Any]
PATH: Final = f"/apis/{keys.API_VERSION}/namespaces/{{namespace}}/inferenceservices/{{name}}/load"
CA_FILE: Final = "progress-ca.crt"
TOKEN_FILE: Final = "token"  # noqa: S105 - the name of a file
TOKEN_LIFETIME_S: Final = 3600


def audience(namespace: str, name: str) -> str:
    """Audience of the token that a service's gateways report with."""
    return f"{keys.GROUP}/inferenceservices/{namespace}/{name}"


def report_spec(base_url: str, namespace: str, name: str) -> LoadReportSpec:
    """What the gateway reads in its configuration."""
    return LoadReportSpec(
        url=base_url + PATH.format(namespace=namespace, name=name),
        ca_file=f"{CONFIG_DIR}/{CA_FILE}",
        token_file=f"{CONFIG_DIR}/{TOKEN_FILE}",
    )


def report_files(namespace: str, name: str) -> list[Manifest]:
    """Sources of a projected volume: the CA out of an annotation, and a token of its own."""
    field = f"metadata.annotations['{keys.PROGRESS_CA_ANNOTATION}']"
    certificate = {"items": [{"path": CA_FILE, "fieldRef": {"fieldPath": field}}]}
    token = {
        "audience": audience(namespace, name),
        "expirationSeconds": TOKEN_LIFETIME_S,
        "path": TOKEN_FILE,
    }
    return [{"downwardAPI": certificate}, {"serviceAccountToken": token}]

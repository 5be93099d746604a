"""Kinds the operator touches and what it may do to them: the source of the chart's RBAC."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from flagscale_api import keys

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete"]
Scope = Literal["cluster", "release", "secrets", "categories"]


@dataclass(frozen=True, slots=True)
class KubeKind:
    """Group, version, kind and plural of an API resource."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As written in a manifest: `group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """URL path of the collection or of one object."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


TRAIN_JOB: Final = KubeKind(keys.GROUP, keys.VERSION, "TrainJob", "trainjobs")
INFERENCE_SERVICE: Final = KubeKind(
    keys.GROUP, keys.VERSION, "InferenceService", "inferenceservices"
)
AGENT_TOOL: Final = KubeKind(keys.GROUP, keys.VERSION, "AgentTool", "agenttools")
AGENT_TOOL_SOURCE: Final = KubeKind(keys.GROUP, keys.VERSION, "AgentToolSource", "agenttoolsources")
PYTORCH_JOB: Final = KubeKind("kubeflow.org", "v1", "PyTorchJob", "pytorchjobs")
POD: Final = KubeKind("", "v1", "Pod", "pods")
DEPLOYMENT: Final = KubeKind("apps", "v1", "Deployment", "deployments")
SERVICE: Final = KubeKind("", "v1", "Service", "services")
POD_DISRUPTION_BUDGET: Final = KubeKind(
    "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"
)
HORIZONTAL_POD_AUTOSCALER: Final = KubeKind(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
)
CONTROLLER_REVISION: Final = KubeKind("apps", "v1", "ControllerRevision", "controllerrevisions")
RAY_SERVICE: Final = KubeKind("ray.io", "v1", "RayService", "rayservices")
RAY_CLUSTER: Final = KubeKind("ray.io", "v1", "RayCluster", "rayclusters")
SECRET: Final = KubeKind("", "v1", "Secret", "secrets")
CONFIG_MAP: Final = KubeKind("", "v1", "ConfigMap", "configmaps")
EVENT: Final = KubeKind("", "v1", "Event", "events")
LEASE: Final = KubeKind("coordination.k8s.io", "v1", "Lease", "leases")
ENDPOINT_SLICE: Final = KubeKind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
TOKEN_REVIEW: Final = KubeKind(
    "authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False
)
SUBJECT_ACCESS_REVIEW: Final = KubeKind(
    "authorization.k8s.io",
    "v1",
    "SubjectAccessReview",
    "subjectaccessreviews",
    namespaced=False,
)
API_SERVICE: Final = KubeKind(
    "apiregistration.k8s.io", "v1", "APIService", "apiservices", namespaced=False
)
CRD: Final = KubeKind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One RBAC rule.

    `release` rules hold in the operator's own namespace only, `secrets` rules in the namespaces
    whose Secrets tools may name, `categories` rules where the chart lets the matcher file tools.
    """

    kind: KubeKind
    verbs: tuple[Verb, ...]
    scope: Scope = "cluster"
    subresource: str = ""
    resource_names: tuple[str, ...] = ()
    why: str = ""


OPERATOR_NAME: Final = "flagscale-operator"
LEASE_NAME: Final = OPERATOR_NAME
PROGRESS_SECRET_NAME: Final = "flagscale-progress-tls"  # noqa: S105 - a name, no secret
PROGRESS_SERVICE_NAME: Final = "flagscale-progress"
PROGRESS_SLICE_NAMES: Final = MappingProxyType(
    {version: f"{PROGRESS_SERVICE_NAME}-ipv{version}" for version in (4, 6)}
)
"""The EndpointSlice of each version of IP."""
METRICS_API_SERVICE_NAME: Final = "v1beta1.external.metrics.k8s.io"
MATCHER_NAME: Final = "flagscale-matcher"
MATCHER_REPLICAS_NAME: Final = "flagscale-matcher-replicas"
"""The headless Service of the matchers."""

RULES: Final = (
    Rule(TRAIN_JOB, ("get", "list", "watch", "delete"), why="watch; delete when its TTL ends"),
    Rule(TRAIN_JOB, ("patch",), subresource="status", why="report"),
    Rule(TRAIN_JOB, ("update",), subresource="finalizers", why="own children that block deletion"),
    Rule(
        PYTORCH_JOB,
        ("get", "list", "watch", "create", "patch", "delete"),
        why="one per attempt; server-side apply needs create and patch",
    ),
    Rule(INFERENCE_SERVICE, ("list", "watch"), why="watch"),
    Rule(INFERENCE_SERVICE, ("patch",), subresource="status", why="report"),
    Rule(
        INFERENCE_SERVICE,
        ("patch",),
        subresource="scale",
        why="from none and to none; in between a HorizontalPodAutoscaler does it",
    ),
    Rule(
        INFERENCE_SERVICE,
        ("update",),
        subresource="finalizers",
        why="own children that block deletion",
    ),
    Rule(
        DEPLOYMENT,
        ("get", "list", "watch", "create", "patch"),
        why="engine pods and the gateway; deleted by garbage collection only",
    ),
    Rule(
        SERVICE,
        ("get", "list", "watch", "create", "patch"),
        why="where a model is reached; deleted by garbage collection only",
    ),
    Rule(
        POD_DISRUPTION_BUDGET,
        ("get", "list", "watch", "create", "patch", "delete"),
        why="drains leave a replica; deleted when one replica is left",
    ),
    Rule(
        HORIZONTAL_POD_AUTOSCALER,
        ("get", "list", "watch", "create", "patch", "delete"),
        why="replicas by load; deleted when autoscaling is no longer asked for",
    ),
    Rule(
        API_SERVICE,
        ("get", "patch"),
        resource_names=(METRICS_API_SERVICE_NAME,),
        why="tell the API server which certificate the load metrics come with",
    ),
    Rule(
        RAY_SERVICE,
        ("get", "list", "watch", "create", "patch"),
        why="runtime rayservice; deleted by garbage collection only",
    ),
    Rule(
        RAY_SERVICE,
        ("patch",),
        subresource="status",
        why="call off an upgrade: KubeRay has no other way",
    ),
    Rule(
        RAY_CLUSTER,
        ("get", "list", "watch", "update"),
        why="replicas of the running cluster, which KubeRay does not take over",
    ),
    Rule(
        CONTROLLER_REVISION,
        ("get", "list", "watch", "create", "patch", "delete"),
        why="the last revision that served, to go back to",
    ),
    Rule(
        AGENT_TOOL,
        ("get", "list", "watch", "create", "patch", "delete"),
        why="watch; one per tool of a source, deleted when the source has it no more",
    ),
    Rule(AGENT_TOOL, ("patch",), subresource="status", why="report"),
    Rule(AGENT_TOOL_SOURCE, ("list", "watch"), why="watch"),
    Rule(AGENT_TOOL_SOURCE, ("patch",), subresource="status", why="report"),
    Rule(
        AGENT_TOOL_SOURCE,
        ("update",),
        subresource="finalizers",
        why="own children that block deletion",
    ),
    Rule(CONFIG_MAP, ("get",), why="OpenAPI documents that a source names"),
    Rule(SECRET, ("get",), scope="secrets", why="credentials that a source names"),
    Rule(POD, ("get", "list", "watch"), why="causes of failures; only pods of our objects"),
    Rule(EVENT, ("create", "patch"), why="tell the story of a run"),
    Rule(TOKEN_REVIEW, ("create",), why="bind progress posts to the job's pods"),
    Rule(
        CRD,
        ("list", "watch"),
        why="notice that the child's kind was installed or removed",
    ),
    Rule(
        EVENT,
        ("create", "patch"),
        scope="release",
        why="tell what keeps the tool matcher away, also where other namespaces are watched",
    ),
    Rule(LEASE, ("create",), scope="release", why="leader election"),
    Rule(
        LEASE,
        ("get", "update"),
        scope="release",
        resource_names=(LEASE_NAME,),
        why="leader election",
    ),
    Rule(SECRET, ("create",), scope="release", why="certificate of the progress server"),
    Rule(
        SECRET,
        ("get", "update"),
        scope="release",
        resource_names=(PROGRESS_SECRET_NAME,),
        why="certificate of the progress server",
    ),
    Rule(ENDPOINT_SLICE, ("create",), scope="release", why="progress posts go to the leader"),
    Rule(
        ENDPOINT_SLICE,
        ("patch", "delete"),
        scope="release",
        resource_names=tuple(PROGRESS_SLICE_NAMES.values()),
        why="progress posts go to the leader",
    ),
    *(
        Rule(kind, ("create",), scope="release", why="the tool matcher")
        for kind in (DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET)
    ),
    *(
        # Also without a matcher: what one has left is removed.
        Rule(kind, ("get", "patch", "delete"), scope="release", resource_names=names, why=why)
        for kind, names, why in (
            (DEPLOYMENT, (MATCHER_NAME,), "the tool matcher"),
            (SERVICE, (MATCHER_NAME, MATCHER_REPLICAS_NAME), "the tool matcher"),
            (POD_DISRUPTION_BUDGET, (MATCHER_NAME,), "the tool matcher"),
        )
    ),
    Rule(
        DEPLOYMENT,
        ("get",),
        scope="release",
        resource_names=(OPERATOR_NAME,),
        why="the matcher goes with the operator's own Deployment",
    ),
)
MATCHER_RULES: Final = (
    Rule(AGENT_TOOL, ("get", "list", "watch"), why="what is found"),
    Rule(AGENT_TOOL, ("patch",), subresource="status", why="count calls"),
    Rule(TOKEN_REVIEW, ("create",), why="who asks"),
    Rule(SUBJECT_ACCESS_REVIEW, ("create",), why="what they may find and call"),
    Rule(SECRET, ("get",), scope="secrets", why="credentials that a tool names"),
    Rule(
        AGENT_TOOL,
        ("patch",),
        scope="categories",
        why="change the category of tools for callers who may",
    ),
)
"""What the matcher may do, under a service account of its own."""

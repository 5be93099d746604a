"""What is built from which Go module, and the content key of each build (pure)."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

KUBERNETES = "v1.34.4"
STAGING = "v0.34.4"
"""Version of the k8s.io/* modules that belong to KUBERNETES."""
TRAINING_OPERATOR = "v1.9.3"
KUBERAY = "v1.5.1"
LOCAL_PATH = "v0.0.30"
RECIPE_FORMAT = 1
"""Raise it when `builds` makes something else of the same recipe."""


@dataclass(frozen=True)
class Recipe:
    """One cached build: a module and the programs made of it."""

    name: str
    module: str
    version: str
    programs: tuple[tuple[str, str], ...]
    """Pairs of program name and Go package."""
    kind: str = "module"
    """`module`: a plain dependency; `kubernetes`: staging modules replaced by their releases;
    `main`: built inside a copy of the module, because its own replaces count;
    `source`: our own file go/<name>/main.go, with `module` as its dependency if it has one."""
    ldflags: str = "-s -w"

    @property
    def key(self) -> str:
        """Name of the cache folder: changes with anything that changes the result."""
        text = json.dumps([RECIPE_FORMAT, asdict(self)])
        return f"{self.name}-{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _kubernetes(name: str, *programs: str) -> Recipe:
    return Recipe(
        name=name,
        module="k8s.io/kubernetes",
        version=KUBERNETES,
        programs=tuple((program, f"k8s.io/kubernetes/cmd/{program}") for program in programs),
        kind="kubernetes",
        ldflags=f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}"
        f" -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}",
    )


def _single(name: str, package: str, version: str, module: str = "") -> Recipe:
    return Recipe(name, module or package, version, ((name, package),))


RECIPES = (
    _single("etcd", "go.etcd.io/etcd/server/v3", "v3.6.6"),
    _kubernetes("kubernetes-server", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    _kubernetes("kubernetes-client", "kubectl"),
    _kubernetes("kubernetes-node", "kubelet", "kube-proxy"),
    _single("coredns", "github.com/coredns/coredns", "v1.13.1"),
    Recipe("pause", "", "v1", (("pause", "."),), kind="source"),
    Recipe("stop-pods", "k8s.io/cri-api", STAGING, (("stop-pods", "."),), kind="source"),
    _single(
        "training-operator",
        "github.com/kubeflow/training-operator/cmd/training-operator.v1",
        TRAINING_OPERATOR,
        "github.com/kubeflow/training-operator",
    ),
    _single("ray-operator", "github.com/ray-project/kuberay/ray-operator", KUBERAY),
    Recipe(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        LOCAL_PATH,
        (("local-path-provisioner", "."),),
        kind="main",
    ),
    _single("helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0", "helm.sh/helm/v3"),
)
BY_NAME = {recipe.name: recipe for recipe in RECIPES}
CONTROL_PLANE = ("etcd", "kubernetes-server", "kubernetes-client")
NATIVE = (
    *CONTROL_PLANE,
    "kubernetes-node",
    "coredns",
    "pause",
    "stop-pods",
    "training-operator",
    "ray-operator",
    "local-path-provisioner",
)


def recipe_of(program: str) -> Recipe:
    """The recipe that makes a program; KeyError when none does."""
    for recipe in RECIPES:
        if program in dict(recipe.programs):
            return recipe
    raise KeyError(program)


def program_path(cache: Path, program: str) -> Path:
    """Where a program lies once it is built."""
    return cache / "bin" / recipe_of(program).key / program

"""One real API server for the whole folder; every test has a namespace of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.connection import load_connection
from flagscale_operator.kube.http import KubeHttp
from support.cluster import control_plane as planes
from support.install import install_crds
from support.kubectl import Kubectl
from support.tool_namespace import ToolNamespace
from support.tool_servers import serving


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.ControlPlane]:
    plane = planes.start(tmp_path_factory.mktemp("plane"))
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def kubeconfig(control_plane: planes.ControlPlane) -> Path:
    return control_plane.kubeconfig


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    return Kubectl(kubeconfig)


@pytest.fixture(scope="session")
def crds(kubeconfig: Path) -> None:
    """TrainJob and PyTorchJob are served."""
    install_crds(kubeconfig)


@pytest.fixture
async def kube(kubeconfig: Path) -> AsyncIterator[KubeHttp]:
    """The operator's own client."""
    client = KubeHttp.open(
        load_connection({"KUBECONFIG": str(kubeconfig)}),
        field_manager="flagscale/trainjob",
        budget=RequestBudget(rate_per_s=None),
        on_request=lambda *_: None,
    )
    yield client
    await client.close()


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    """A new namespace; it goes with the control plane."""
    name = f"t-{uuid4().hex[:10]}"
    done = kubectl("create", "namespace", name)
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture
def tools(kubectl: Kubectl, namespace: str) -> ToolNamespace:
    return ToolNamespace(kubectl, namespace)


@pytest.fixture
def matcher(tools: ToolNamespace) -> Iterator[str]:
    with serving(tools.matcher.app) as url:
        yield url

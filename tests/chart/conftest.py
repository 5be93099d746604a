import pytest

from support.helm import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm.built(tmp_path_factory.mktemp("helm"))

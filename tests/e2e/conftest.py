"""The real cluster with the charts installed, and a namespace with a volume per test module."""

from collections.abc import Iterator

import pytest

from support.demo.install import INSTALLED, install_charts
from support.demo.target import Target, build_images, find_target
from support.workspace import Workspace


@pytest.fixture(scope="session")
def target() -> Target:
    return find_target()


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    return build_images(*INSTALLED, "corpus")


@pytest.fixture(scope="session", autouse=True)
def installed(target: Target, images: dict[str, str]) -> None:
    install_charts(target, images)


@pytest.fixture(scope="module")
def matcher(target: Target, images: dict[str, str]) -> Iterator[None]:
    """Runs for the tests that ask for it alone: others need its share of the machine."""
    values = ("--set", "matcher.enabled=true", "--set", "matcher.manageCategories=true")
    install_charts(target, images, *values)
    yield
    install_charts(target, images)


@pytest.fixture(scope="module")
def workspace(
    target: Target, images: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Workspace]:
    suffix = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    space = Workspace(target, f"e2e-{suffix}", images)
    space.create()
    yield space
    space.delete(wait=False)

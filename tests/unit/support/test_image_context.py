import subprocess
from pathlib import Path

import pytest

from support.images.context import Sources, read_sources, write_context
from support.images.roles import BY_NAME, Role

PLAIN = Role("plain")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "images" / "plain"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch")
    return tmp_path / "checkout"


def context(sources: Sources, target: Path) -> Path:
    target.mkdir()
    write_context(sources, target, target.with_suffix(".log"))
    return target


def test_a_changed_dockerfile_names_a_new_image(checkout: Path) -> None:
    before = read_sources(checkout, PLAIN, "base").image
    (checkout / "images" / "plain" / "Dockerfile").write_text("FROM other")
    assert read_sources(checkout, PLAIN, "base").image != before


def test_another_base_names_a_new_image(checkout: Path) -> None:
    one = read_sources(checkout, PLAIN, "one").image
    assert read_sources(checkout, PLAIN, "two").image != one


def test_contexts_of_two_checkouts_are_equal_to_the_mode_and_second(
    checkout: Path, tmp_path: Path
) -> None:
    file = checkout / "images" / "plain" / "Dockerfile"
    one = context(read_sources(checkout, PLAIN, "base"), tmp_path / "one") / "Dockerfile"
    file.chmod(0o664)
    file.write_text("FROM scratch")
    two = context(read_sources(checkout, PLAIN, "base"), tmp_path / "two") / "Dockerfile"
    assert one.stat().st_mode == two.stat().st_mode
    assert one.stat().st_mtime == two.stat().st_mtime


def test_every_role_has_a_dockerfile_that_takes_its_base_as_an_argument() -> None:
    images = Path(__file__).parents[3] / "images"
    for name in BY_NAME:
        assert "ARG BASE_IMAGE" in (images / name / "Dockerfile").read_text()


def test_every_role_runs_as_the_same_user_without_rights() -> None:
    images = Path(__file__).parents[3] / "images"
    for name in BY_NAME:
        users = [
            line
            for line in (images / name / "Dockerfile").read_text().splitlines()
            if line.startswith("USER ")
        ]
        assert users[-1].startswith("USER 65532:65532")


def test_the_install_script_is_valid_shell() -> None:
    script = Path(__file__).parents[3] / "images" / "install.sh"
    assert subprocess.run(["sh", "-n", script]).returncode == 0

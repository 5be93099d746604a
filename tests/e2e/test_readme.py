"""What README tells people to type works as it stands there."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from support.demo.install import RELEASE_NAMESPACE, install_charts
from support.demo.target import ROOT, SAMPLES, Target

README = (ROOT / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    """The fenced blocks of this kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(kind: str) -> str:
    """The one fenced block of this kind."""
    (found,) = blocks(kind)
    return found


def type_line(line: str, target: Target) -> subprocess.CompletedProcess[str]:
    folders = (str(ROOT / ".venv" / "bin"), str(target.helm_path.parent), os.environ["PATH"])
    environment = {
        **os.environ, "PATH": ":".join(folders), "KUBECONFIG": str(target.kubeconfig)
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done


def test_every_command_to_look_inside_works(target: Target) -> None:
    told = {line: type_line(line, target).stdout for line in block("sh run").splitlines()}

    assert "PROGRESS" in told["kubectl get trainjobs -n flagscale-demo"]
    explained = told["kubectl explain trainjob.spec --recursive"]
    assert "globalBatchSize" in explained
    rendered = next(text for line, text in told.items() if " render " in line)
    assert yaml.safe_load(rendered)["kind"] == "PyTorchJob"


def test_uninstalling_works_and_leaves_the_crd(target: Target, images: dict[str, str]) -> None:
    for line in block("sh uninstall").splitlines():
        type_line(line, target)

    kept = target.kubectl("get", "crd", "trainjobs.flagscale.dev", "-o", "name").stdout
    gone = target.kubectl("get", "deployments", "-n", RELEASE_NAMESPACE, "-o", "name").stdout
    install_charts(target, images)

    assert kept.strip()
    assert not gone.strip()


@pytest.mark.parametrize("line", block("sh make").splitlines())
def test_every_make_target_exists(line: str) -> None:
    assert subprocess.run(["make", "-n", line.removeprefix("make ")], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("shown", [yaml.safe_load(text) for text in blocks("yaml")])
def test_a_shown_object_is_the_minimal_sample_of_its_kind(shown: dict[str, object]) -> None:
    sample = Path(SAMPLES / f"{str(shown['kind']).lower()}-minimal.yaml").read_text()

    assert shown == yaml.safe_load(sample)

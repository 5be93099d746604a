import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flagscale_runner.cli.app import app
from flagscale_runner.documents import mistakes
from support.demo.target import SAMPLES

TOOL = str(SAMPLES / "agenttool-minimal.yaml")
COMMANDS = ["init", "validate", "render", "run", "status", "logs", "explain", "suspend", "resume",
            "stop", "doctor", "chat", "match"]  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"FLAGSCALE_HOME": str(tmp_path), "COLUMNS": "200", "TERM": "dumb"})


def test_these_are_all_commands(cli: CliRunner) -> None:
    assert sorted(COMMANDS) == sorted(c.callback.__name__ for c in app.registered_commands
                                      if c.callback)  # fmt: skip


def test_the_list_of_commands_cuts_no_sentence(cli: CliRunner) -> None:
    said = cli.invoke(app, ["--help"], env={"COLUMNS": "80"}).output
    assert "..." not in said.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_an_example_of_its_command(cli: CliRunner, command: str) -> None:
    said = cli.invoke(app, [command, "--help"])
    assert said.exit_code == 0
    assert f"Example: flagscale {command}" in said.output


@pytest.mark.parametrize("task", ["train", "script", "serve"])
def test_what_init_prints_is_valid_and_commented(cli: CliRunner, task: str, tmp_path: Path) -> None:
    said = cli.invoke(app, ["init", task, "--name", "mine"])
    file = tmp_path / "made.yaml"
    file.write_text(said.output)

    assert list(mistakes(file)) == []
    assert yaml.safe_load(said.output)["metadata"]["name"] == "mine"
    assert said.output.count("#") > 4


@pytest.mark.parametrize("sample", ["trainjob-minimal", "inferenceservice-full"])
def test_render_prints_what_the_operator_prints(cli: CliRunner, sample: str) -> None:
    file = str(SAMPLES / f"{sample}.yaml")
    command = [sys.executable, "-m", "flagscale_operator", "render", file]
    told = subprocess.run(command, capture_output=True, text=True, check=True)

    assert cli.invoke(app, ["render", file]).stdout == told.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "none"], "none: is not there in default; `flagscale status` lists what is"),
        (
            ["logs", "pod/x"],
            "pod/x: unknown kind, got pod; use trainjob or inferenceservice or "
            "agenttool or agenttoolsource",
        ),
        (["run", "none.yaml"], "none.yaml: can't be read"),
        (["logs", "tool/x"], "agenttool/x in default: has no pods, so no log"),
        (["match", "x"], "tools: none is ready; `flagscale run FILE` makes AgentTools known"),
        (["status", "--on", "cluster"], "kubeconfig: can't be read, got /none"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    cli: CliRunner, words: list[str], said: str
) -> None:
    told = cli.invoke(app, words, env={"KUBECONFIG": "/none"})
    assert told.exit_code == 2
    assert told.stderr.startswith(f"flagscale: {said}")
    assert told.stdout == ""


def test_volumes_are_for_this_machine(cli: CliRunner, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }))  # fmt: skip
    words = ["run", str(SAMPLES / "trainjob-minimal.yaml"), "--on", "cluster", "--volume", "a=b"]
    told = cli.invoke(app, words, env={"KUBECONFIG": str(config)})
    assert told.exit_code == 2
    assert "are for this machine, got a=b" in told.stderr


@pytest.mark.parametrize(
    ("option", "text"), [("--volume", "hub"), ("--secret", "hub="), ("--engine-python", "=hub")]
)
def test_half_of_a_pair_is_refused_as_no_path_is_the_current_folder(
    cli: CliRunner, tmp_path: Path, option: str, text: str
) -> None:
    words = ["run", str(SAMPLES / "trainjob-minimal.yaml"), option, text]
    told = cli.invoke(app, words, env={"FLAGSCALE_HOME": str(tmp_path)})
    assert told.exit_code == 2
    assert told.stderr == f"flagscale: {option}: is no NAME=PATH, got {text!r}; give both\n"
    assert list(tmp_path.rglob("hub")) == []


def test_an_unreachable_cluster_is_a_sentence(cli: CliRunner, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }))  # fmt: skip
    told = cli.invoke(app, ["doctor", "--on", "cluster"], env={"KUBECONFIG": str(config)})
    assert told.exit_code == 2
    assert "cluster https://127.0.0.1:1: " in told.stderr
    assert "check the network and KUBECONFIG" in told.stderr


def test_nothing_is_an_empty_list_for_programs(cli: CliRunner) -> None:
    assert json.loads(cli.invoke(app, ["status", "-o", "json"]).stdout) == []


def test_the_doctor_tells_programs_too(cli: CliRunner) -> None:
    told = cli.invoke(app, ["doctor", "--output", "json"])
    checks = {check["name"]: check for check in json.loads(told.stdout)}
    assert checks["torch"]["missing"] == ""
    assert re.fullmatch(r"\d+\.\d+ GiB free", checks["memory"]["found"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(cli: CliRunner, shell: str) -> None:
    environ = {"_FLAGSCALE_COMPLETE": f"source_{shell}"}
    said = cli.invoke(app, [], prog_name="flagscale", env=environ)
    assert "flagscale" in said.stdout
    assert said.exit_code == 0


def test_help_loads_neither_torch_nor_the_operator() -> None:
    program = ("import sys, flagscale_runner.cli.app; "
               "print(sorted({'torch', 'aiohttp', 'pydantic', 'kopf', 'flagscale_operator'} "
               "& set(sys.modules)))")  # fmt: skip
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout.strip() == "[]"

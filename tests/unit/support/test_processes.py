import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.cluster.errors import ClusterError
from support.cluster.processes import Component, Supervisor, start_time

SLEEPER = (sys.executable, "-c", "import signal; signal.pause()")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path)
    yield made
    for name in made.names():
        made.stop(name, 0)


def pid_of(supervisor: Supervisor, name: str) -> int:
    record = supervisor.record(name)
    assert record is not None
    return record.pid


def open_files(pid: int) -> list[str]:
    """What a process has open; it may close its files of the moment while they are listed."""
    opened = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.append(str(file.readlink()))
    return opened


def test_a_process_name_with_spaces_and_brackets_does_not_hide_the_start_time() -> None:
    fields = " ".join(str(number) for number in range(4, 53))
    assert start_time(f"7 (a) b (c) S {fields}") == 22


def test_a_zombie_does_not_count_as_running() -> None:
    assert start_time("7 (x) Z " + " ".join(["1"] * 49)) is None


def test_a_second_start_leaves_the_running_process_alone(supervisor: Supervisor) -> None:
    component = Component("sleeper", SLEEPER, "")
    assert supervisor.start(component)
    before = pid_of(supervisor, "sleeper")
    assert not supervisor.start(component)
    assert pid_of(supervisor, "sleeper") == before


def test_a_killed_process_is_started_again(supervisor: Supervisor) -> None:
    component = Component("sleeper", SLEEPER, "")
    supervisor.start(component)
    before = pid_of(supervisor, "sleeper")
    os.kill(before, signal.SIGKILL)
    os.waitpid(before, 0)
    assert supervisor.record("sleeper") is None
    assert supervisor.start(component)
    assert pid_of(supervisor, "sleeper") != before


def test_a_changed_command_replaces_the_process(supervisor: Supervisor) -> None:
    supervisor.start(Component("sleeper", SLEEPER, ""))
    before = pid_of(supervisor, "sleeper")
    assert supervisor.start(Component("sleeper", (*SLEEPER, "other"), ""))
    assert pid_of(supervisor, "sleeper") != before


def test_a_changed_configuration_file_replaces_the_process(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("a")
    component = Component("sleeper", SLEEPER, "", files=(config,))
    supervisor.start(component)
    config.write_text("b")
    assert supervisor.start(component)


def test_a_foreign_process_with_a_recycled_pid_is_never_stopped(supervisor: Supervisor) -> None:
    supervisor.start(Component("sleeper", SLEEPER, ""))
    file = next(supervisor.folder.glob("pids/*.json"))
    record = supervisor.record("sleeper")
    assert record is not None
    supervisor.stop("sleeper", 0)
    with subprocess.Popen(SLEEPER) as foreign:
        file.write_text(f'{{"pid": {foreign.pid}, "started": {record.started - 1}, "digest": "x"}}')
        assert not supervisor.stop("sleeper", 0)
        assert foreign.poll() is None
        foreign.kill()


def test_a_process_that_ends_early_is_reported_with_its_last_words(supervisor: Supervisor) -> None:
    command = (sys.executable, "-c", "raise SystemExit('no such flag')")
    component = Component("broken", command, "http://127.0.0.1:1/healthz")
    supervisor.start(component)
    with pytest.raises(ClusterError, match=r"broken: ended early; see .*broken\.log\nno such flag"):
        supervisor.wait_healthy(component, 20)


def test_a_component_inherits_no_file_that_the_caller_has_open(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - takes no keywords
        supervisor.start(Component("sleeper", SLEEPER, ""))
        pid = pid_of(supervisor, "sleeper")
        opened = open_files(pid)

    assert str(tmp_path / "lock") not in opened
    assert str(supervisor.log("sleeper")) in opened

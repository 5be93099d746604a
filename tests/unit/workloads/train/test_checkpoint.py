import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flagscale_workloads.train import durable
from flagscale_workloads.train.checkpoint import Checkpoints, Saved, load
from flagscale_workloads.train.errors import TrainError
from flagscale_workloads.train.fence import Fence

CPU = torch.device("cpu")


class Killed(BaseException):
    """Stands for SIGKILL: no handler of ours may run after it."""


def model(value: float) -> torch.nn.Module:
    linear = torch.nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.fill_(value)
    return linear


def save(checkpoints: Checkpoints, step: int, **more: Any) -> Saved:
    before = more.get("before", lambda: None)
    state = {"step": step}
    return checkpoints.save(step, model=model(step), state=state, about={}, before=before)


def loaded(checkpoints: Checkpoints) -> int:
    """Step of the newest checkpoint, after its model and state were seen to belong to it."""
    saved = checkpoints.newest()
    assert saved is not None
    target = torch.nn.Linear(2, 2)
    assert load(saved, model=target, device=CPU) == {"step": saved.step}
    assert (target.weight == saved.step).all()
    return saved.step


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", keep=2)


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_the_newest_are_kept(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    for step in (5, 10, 15):
        save(checkpoints, step)
    assert names(checkpoints) == ["step-00000010", "step-00000015"]
    assert loaded(checkpoints) == 15


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_at_any_byte_falls_back_to_the_one_before(
    checkpoints: Checkpoints, data: st.DataObject
) -> None:
    shutil.rmtree(checkpoints.folder, ignore_errors=True)
    save(checkpoints, 1)
    files = sorted(save(checkpoints, 2).path.iterdir())
    file = data.draw(st.sampled_from(files))
    whole = file.read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert loaded(checkpoints) == 1


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_falls_back_to_the_one_before(
    checkpoints: Checkpoints, data: st.DataObject
) -> None:
    shutil.rmtree(checkpoints.folder, ignore_errors=True)
    save(checkpoints, 1)
    saved = save(checkpoints, 2).path
    file = saved / data.draw(st.sampled_from(["model.safetensors", "state.pt"]))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(bytes(content))
    assert loaded(checkpoints) == 1


def test_a_damaged_newer_one_neither_costs_a_place_nor_stops_its_replacement(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 8, 9):
        save(Checkpoints(checkpoints.folder, keep=3), step)
    for step in (8, 9):
        (checkpoints.folder / f"step-0000000{step}" / "manifest.json").unlink()
    assert loaded(checkpoints) == 1
    assert "step-00000009 is damaged" in caplog.text
    save(checkpoints, 2)
    assert loaded(checkpoints) == 2
    save(checkpoints, 9)
    assert loaded(checkpoints) == 9


def test_none_readable_is_an_error_that_keeps_them(checkpoints: Checkpoints) -> None:
    (save(checkpoints, 1).path / "state.pt").write_bytes(b"")
    with pytest.raises(TrainError, match="move the folder away") as raised:
        checkpoints.newest()
    assert raised.value.cause == "CheckpointUnreadable"
    assert str(checkpoints.folder) in raised.value.message
    assert names(checkpoints) == ["step-00000001"]


def crash_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Die before the numbered call that changes the disk; writes get half of their bytes there."""
    count = 0

    def guard(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                if name == "write_text":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise Killed
            return real(*arguments, **named)

        return call

    for name in ("write_text", "mkdir", "rename", "replace"):
        monkeypatch.setattr(Path, name, guard(name, getattr(Path, name)))
    for owner, name in ((durable, "sync"), (shutil, "rmtree"), (torch, "save")):
        monkeypatch.setattr(owner, name, guard(name, getattr(owner, name)))
    exchange = guard("exchange", durable._exchange)
    monkeypatch.setattr(durable, "_exchange", exchange)
    return lambda: count


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("target", [2, 1])
def test_a_crash_at_any_write_leaves_the_old_or_the_new_checkpoint(
    target: int, *, swap: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`target` 1 writes step 1 again, over the one that is there."""
    crashes = 0
    if not swap:
        monkeypatch.setattr(durable, "_exchange", lambda one, other: False)
    for number in range(1, 60):
        checkpoints = Checkpoints(tmp_path / str(number), keep=2)
        if not swap:
            save(checkpoints, 0)
        save(checkpoints, 1)
        with monkeypatch.context() as patch:
            crash_at(number, patch)
            try:
                save(checkpoints, target)
            except Killed:
                crashes += 1
            else:
                break
        # Without an atomic swap there is an instant in which only the one before is there.
        expected = {1, target} if swap else {0, 1, target}
        assert loaded(checkpoints) in expected
        checkpoints.remove_leftovers()
        assert all(name.startswith("step-") for name in names(checkpoints))
        save(checkpoints, 3)
        assert loaded(checkpoints) == 3
    assert crashes >= 8


def test_an_older_attempt_publishes_nothing(checkpoints: Checkpoints, tmp_path: Path) -> None:
    old, new = Fence(tmp_path, 1, "uid"), Fence(tmp_path, 2, "uid")
    old.claim()
    save(checkpoints, 1, before=old.check)
    new.claim()
    with pytest.raises(TrainError, match="attempt 2 has taken over") as raised:
        save(checkpoints, 2, before=old.check)
    assert raised.value.cause == "Fenced"
    assert loaded(checkpoints) == 1
    with pytest.raises(TrainError):
        old.claim()
    save(checkpoints, 2, before=new.check)
    assert (tmp_path / "attempt").read_text().splitlines()[0] == "2"


def test_another_job_takes_over_whatever_its_attempt(tmp_path: Path) -> None:
    old = Fence(tmp_path, 7, "uid-1")
    old.claim()
    Fence(tmp_path, 1, "uid-2").claim()
    with pytest.raises(TrainError, match="uid-2 has taken over"):
        old.check()


def test_a_full_disk_is_an_unwritable_output(checkpoints: Checkpoints) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "x/state.pt")

    with pytest.raises(TrainError, match=r"x/state\.pt: No space left") as raised:
        save(checkpoints, 1, before=full)
    assert raised.value.cause == "OutputUnwritable"

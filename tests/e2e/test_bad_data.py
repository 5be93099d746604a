"""Input that can't work: failed once, named, never restarted."""

import pytest

from support.workspace import Status, Workspace, tiny_trainer


def fail(workspace: Workspace, name: str, **changes: object) -> Status:
    workspace.submit(name, **tiny_trainer(f"/data/{name}", steps=20, **changes))
    status = workspace.wait_phase(name, "Failed", "Succeeded", timeout_s=150)
    assert status["phase"] == "Failed"
    assert status["restarts"] == 0
    return status


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("missing", {"path": "/data/nothing.txt"}, "spec.trainer.data.path"),
        ("empty", {"path": "/data/empty.txt"}, "empty"),
        ("binary", {"path": "/data/binary.txt"}, "/data/binary.txt"),
        (
            "short",
            {"path": "/data/short.txt", "sequenceLength": 4096},
            "spec.trainer.data.sequenceLength",
        ),
    ],
)
def test_data_that_can_not_be_learned_from_is_named(
    workspace: Workspace, name: str, data: dict[str, object], words: str
) -> None:
    workspace.write_file("/data/empty.txt", b"")
    workspace.write_file("/data/binary.txt", bytes(range(256)) * 64)
    workspace.write_file("/data/short.txt", b"In the beginning was the Word.\n" * 8)

    status = fail(workspace, name, data=data)

    assert status["failure"]["cause"] in ("InvalidData", "InvalidSpec")
    assert words in status["failure"]["message"]


def test_unreadable_checkpoints_are_never_overwritten_by_a_fresh_start(
    workspace: Workspace,
) -> None:
    workspace.write_file("/data/broken/marker", b"")
    workspace.write_file("/data/broken/checkpoints/marker", b"")
    folder = "/data/broken/checkpoints/step-00000010"
    workspace.write_file(f"{folder}/manifest.json", b"{}")

    status = fail(workspace, "broken")

    assert status["failure"]["cause"] == "CheckpointUnreadable"
    assert "/data/broken/checkpoints" in status["failure"]["message"]

"""Operating it: suspend, restart the operator, uninstall, and scripts of other people."""

from pathlib import Path

from support.demo.install import RELEASE_NAMESPACE, install_charts
from support.demo.target import Target
from support.workspace import Workspace, tiny_trainer

HF_SCRIPT = Path(__file__).parent / "scripts" / "hf_trainer.py"


def patch_suspend(workspace: Workspace, name: str, *, suspend: bool) -> None:
    value = "true" if suspend else "false"
    workspace.kubectl("patch", "trainjob", name, "--type=merge",
                      "-p", f'{{"spec": {{"suspend": {value}}}}}')  # fmt: skip


def test_suspend_saves_a_checkpoint_and_resume_goes_on_from_it(workspace: Workspace) -> None:
    workspace.submit(
        "pause", **tiny_trainer("/data/pause", steps=140, checkpoint={"intervalSteps": 1000})
    )
    workspace.wait_step("pause", 20)

    patch_suspend(workspace, "pause", suspend=True)
    suspended = workspace.wait_phase("pause", "Suspended", timeout_s=120)
    pods = workspace.kubectl("get", "pods", "-l", "flagscale.dev/trainjob=pause", "-o", "name")
    patch_suspend(workspace, "pause", suspend=False)
    status = workspace.wait_phase("pause", "Succeeded", "Failed")

    assert pods.strip() == ""
    assert suspended["checkpoint"]["step"] >= 20
    assert status["phase"] == "Succeeded"
    assert status["attempts"][-1]["resumedStep"] >= suspended["checkpoint"]["step"]
    assert status["restarts"] == 0


def test_an_unchanged_hugging_face_script_shows_its_progress(workspace: Workspace) -> None:
    workspace.write_file("/data/hf/train.py", HF_SCRIPT.read_bytes())
    command = ["python3", "/data/hf/train.py", "/data/hf/out"]
    workspace.submit("hf", script={"image": workspace.images["trainer"], "command": command})

    seen = workspace.wait("hf", lambda s: 0 < (s.get("progress") or {}).get("percent", 0) < 100)
    columns = workspace.kubectl("get", "trainjobs", "hf")
    status = workspace.wait_phase("hf", "Succeeded", "Failed")

    assert seen["progress"]["step"] > 0
    assert "Running" in columns
    assert status["phase"] == "Succeeded"


def test_uninstalling_with_a_live_job_leaves_it_running_and_reinstalling_adopts_it(
    workspace: Workspace, target: Target, images: dict[str, str]
) -> None:
    workspace.submit("survivor", **tiny_trainer("/data/survivor", steps=200))
    workspace.wait_step("survivor", 4)

    target.helm("uninstall", "flagscale", "--namespace", RELEASE_NAMESPACE, "--wait")
    still = workspace.kubectl("get", "trainjob,pytorchjob", "-o", "name")
    install_charts(target, images)
    status = workspace.wait_phase("survivor", "Succeeded", "Failed")

    assert "trainjob.flagscale.dev/survivor" in still
    assert "pytorchjob.kubeflow.org/survivor-a1" in still
    assert status["phase"] == "Succeeded"
    assert len(status["attempts"]) == 1

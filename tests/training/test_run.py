"""The module as the operator starts it: real processes, real signals."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flagscale_api.runtime.train import TrainRunConfig
from flagscale_workloads.train.checkpoint import Checkpoints
from flagscale_workloads.train.durable import damage, digest_of, read_manifest

Make = Callable[..., TrainRunConfig]
Start = Callable[..., subprocess.Popen[str]]
STEPS = {"steps": 60, "evalInterval": 20, "logInterval": 1}
SAVES = {"intervalSteps": 10}


def losses(output: Path) -> dict[int, tuple[Any, Any]]:
    """Loss and validation loss by step; each step must be there once."""
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows]
    assert steps == list(range(1, len(steps) + 1))
    return {row["step"]: (row["loss"], row.get("validation_loss")) for row in rows}


def wait(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def read_until(process: subprocess.Popen[str], start: str) -> None:
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(start):
            return
    pytest.fail("".join(seen))


def at(path: Path) -> dict[str, Any]:
    return {"schedule": STEPS, "checkpoint": SAVES, "output": {"path": str(path)}}


def test_a_killed_run_continues_with_bit_equal_losses(
    make_config: Make, start: Start, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    code, said = wait(start(make_config(**at(whole))))
    assert code == 0, said

    process = start(make_config(**at(cut)))
    read_until(process, "step 25/60")
    process.kill()
    process.communicate()
    result = tmp_path / "termination"
    again = start(make_config(attempt=2, **at(cut)), FLAGSCALE_TERMINATION_LOG=str(result))
    code, said = wait(again)
    assert code == 0, said
    assert "resumed at step" in said
    assert losses(cut) == losses(whole)
    assert len(losses(cut)) == 60

    told = json.loads(result.read_text())["result"]
    manifest = read_manifest(cut / "model")
    assert told["artifact"]["uri"] == str(cut / "model")
    assert told["artifact"]["digest"] == manifest["digest"] == digest_of(manifest["files"])
    assert manifest["digest"] == read_manifest(whole / "model")["digest"]
    assert damage(cut / "model") is None
    assert told["artifact"]["sizeBytes"] == sum(f["size"] for f in manifest["files"].values())
    assert (told["step"], told["firstLoss"]) == (60, losses(whole)[1][0])
    assert (told["loss"], told["validationLoss"]) == losses(whole)[60]
    assert told["loss"] < told["firstLoss"]


def test_the_exported_model_loads_and_has_the_logits_of_the_checkpoint(
    make_config: Make, start: Start, tmp_path: Path
) -> None:
    from safetensors.torch import load_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    output = {"path": str(tmp_path / "out"), "gguf": "f16"}
    code, said = wait(start(make_config(output=output)))
    assert code == 0, said
    folder = tmp_path / "out" / "model"
    assert "model-f16.gguf" in read_manifest(folder)["files"]
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    saved = Checkpoints(tmp_path / "out" / "checkpoints", keep=2).newest()
    assert saved
    trained = LlamaForCausalLM(model.config)
    load_model(trained, str(saved.path / "model.safetensors"))
    ids = tokenizer("The quick brown fox", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids).logits, trained.eval()(input_ids=ids).logits)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_sigterm_saves_at_the_next_step_and_exits_with_143(
    make_config: Make, start: Start, tmp_path: Path
) -> None:
    parts = {**at(tmp_path / "out"), "checkpoint": {"intervalSteps": 100000}}
    parts["schedule"] = {"steps": 100000, "logInterval": 1}
    process = start(make_config(**parts))
    read_until(process, "step 3/")
    process.send_signal(signal.SIGTERM)
    code, said = wait(process)
    assert code == 143, said
    saved = Checkpoints(tmp_path / "out" / "checkpoints", keep=1).newest()
    assert saved
    assert saved.step >= 3
    assert saved.step == max(losses(tmp_path / "out"))
    assert "Traceback" not in said


def test_two_ranks_learn_and_stop_together_when_one_gets_sigterm(
    make_config: Make, start: Start, tmp_path: Path
) -> None:
    """The agent passes its SIGTERM on; both ranks must agree on the step at which they save."""
    parts = {**at(tmp_path / "out"), "schedule": {"steps": 100000, "logInterval": 1}}
    process = start(make_config(**parts), ranks=2)
    read_until(process, "step 12/")
    process.send_signal(signal.SIGTERM)
    code, said = wait(process)
    assert code != 0
    assert "after a checkpoint" in said
    saved = Checkpoints(tmp_path / "out" / "checkpoints", keep=1).newest()
    assert saved
    assert saved.step == max(losses(tmp_path / "out"))


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_failure_is_one_line_and_a_record_with_its_cause(
    ranks: int, make_config: Make, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "data" / "a.txt").write_bytes(b"\0" * 100)
    record = tmp_path / "error.json"
    code, said = wait(start(make_config(), ranks=ranks, TORCHELASTIC_ERROR_FILE=str(record)))
    assert code == 1
    assert "InvalidData: spec.trainer.data.path: " in said
    if ranks == 1:
        assert len(said.splitlines()) == 2
    message = json.loads(record.read_text())["message"]
    assert message["message"].startswith("spec.trainer.data.path: ")
    assert message["extraInfo"]["cause"] == "InvalidData"
    assert len(record.read_bytes()) < 3584


def test_a_configuration_that_is_none_is_an_invalid_spec(
    make_config: Make, start: Start, tmp_path: Path
) -> None:
    code, said = wait(start(make_config(), FLAGSCALE_TRAIN_CONFIG=str(tmp_path / "absent")))
    assert code == 1
    assert said.startswith("InvalidSpec: FLAGSCALE_TRAIN_CONFIG: not a valid run")

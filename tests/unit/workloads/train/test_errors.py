import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.runtime.train import TrainRunConfig
from flagscale_workloads.train import FlagScaleTrainer
from flagscale_workloads.train.errors import (
    RECORD_LIMIT,
    TrainError,
    error_record,
    write_error_file,
)
from flagscale_workloads.train.ranks import available_cpus, join, threads


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


@given(st.text(max_size=5000) | st.just("\U0001f600\0" * 3000))
def test_a_record_fits_whatever_the_message(text: str) -> None:
    record = error_record(raised(TrainError("InvalidData", text)), rank=3)
    assert len(json.dumps(record)) <= RECORD_LIMIT
    assert text.startswith(record["message"]["message"])


def test_other_exceptions_have_a_type_and_no_cause() -> None:
    message = error_record(raised(RuntimeError("boom")), rank=1)["message"]
    assert message["message"] == "RuntimeError: boom"
    assert set(message["extraInfo"]) == {"timestamp", "rank", "py_callstack"}
    assert message["extraInfo"]["py_callstack"].endswith("RuntimeError: boom\n")


def test_the_first_process_of_a_pod_to_fail_tells_the_kubelet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE", raising=False)
    monkeypatch.setenv("FLAGSCALE_TERMINATION_LOG", str(log))

    write_error_file(TrainError("InvalidData", "spec.trainer.data.path: empty"), rank=1)
    write_error_file(RuntimeError("Connection closed by peer"), rank=0)

    told = json.loads(log.read_text())["message"]
    assert told["extraInfo"]["cause"] == "InvalidData"
    assert told["extraInfo"]["rank"] == 1


def test_nccl_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TrainError, match=r"spec\.trainer\.communication: nccl needs GPUs") as error:
        join("nccl", environ={})
    assert error.value.cause == "InvalidSpec"


def test_threads_are_given_or_the_share_of_the_container() -> None:
    assert threads({"OMP_NUM_THREADS": "3"}) == 3
    assert threads({"LOCAL_WORLD_SIZE": "1000"}) == 1
    assert threads({}) == available_cpus()


def test_cpus_follow_the_quota(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cgroup")
    unlimited = available_cpus(folder)
    (folder / "cpu.max").write_text("max 100000\n")
    assert available_cpus(folder) == unlimited
    (folder / "cpu.max").write_text("50000 100000\n")
    assert available_cpus(folder) == 1


def test_the_trainer_has_its_public_methods(make_config: Callable[..., TrainRunConfig]) -> None:
    from flagscale_workloads.train.data import open_corpus, prepare
    from flagscale_workloads.train.ranks import Ranks

    for precision in ("fp32", "bf16"):
        spec = make_config(precision=precision, output=make_config().trainer.output)
        corpus = open_corpus(spec.trainer, folder=prepare(spec.trainer))
        trainer = FlagScaleTrainer(spec, corpus=corpus, ranks=Ranks())
        resumed = trainer.load_model()
        assert (resumed is None) is (precision == "fp32")
        assert trainer.train_step() > 0
        trainer.save_checkpoint()
    assert trainer.step == 2

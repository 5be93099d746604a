from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from flagscale_api.v1alpha1.trainer import OutputSpec
from flagscale_workloads.train.errors import TrainError
from flagscale_workloads.train.export import check_export


@pytest.fixture
def words(tmp_path: Path) -> Path:
    model = WordLevel({"<unk>": 0, "word": 1}, unk_token="<unk>")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model)).save_pretrained(str(tmp_path))
    return tmp_path


def test_a_tokenizer_that_gguf_can_not_hold_is_refused_before_training(words: Path) -> None:
    with pytest.raises(TrainError) as caught:
        check_export(OutputSpec(path="/out", gguf="q8_0"), tokenizer=words, vocabulary=2)

    assert caught.value.cause == "InvalidSpec"
    assert str(caught.value).startswith("spec.trainer.output.gguf: not possible, got q8_0")


def test_without_gguf_any_tokenizer_will_do(words: Path) -> None:
    check_export(OutputSpec(path="/out"), tokenizer=words, vocabulary=2)

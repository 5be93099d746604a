import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flagscale_api.runtime.train import TrainRunConfig
from flagscale_workloads.train import data as data_module
from flagscale_workloads.train.data import TOKENIZER, cache_key, open_corpus, prepare
from flagscale_workloads.train.errors import TrainError
from flagscale_workloads.train.text import find_files, read_pieces
from flagscale_workloads.train.tokenizer import END, load_tokenizer

Make = Callable[..., TrainRunConfig]


def fails(make: Make, **parts: object) -> TrainError:
    spec = make(**parts).trainer
    with pytest.raises(TrainError) as raised:
        open_corpus(spec, folder=prepare(spec))
    return raised.value


def data(path: Path, **more: object) -> dict[str, object]:
    return {"path": str(path), "sequenceLength": 16, **more}


def test_the_tokens_decode_to_the_text(make_config: Make, tmp_path: Path) -> None:
    (tmp_path / "data" / "b.txt").write_text("Ünïcode 漢字 \U0001f600 ends here.")
    spec = make_config().trainer
    folder = prepare(spec)
    corpus = open_corpus(spec, folder=folder)
    decoded = load_tokenizer(folder / TOKENIZER).decode(np.array(corpus.tokens).tolist())
    texts = [path.read_text() for path in find_files(spec.data)]
    assert decoded == "".join(text + END for text in texts)


def test_sequences_overlap_by_the_token_that_is_only_predicted(make_config: Make) -> None:
    spec = make_config().trainer
    corpus = open_corpus(spec, folder=prepare(spec))
    rows = corpus.rows(np.array([0, 1]))
    assert rows.shape == (2, 17)
    assert rows[0, -1] == rows[1, 0]
    assert corpus.rows(np.array([corpus.training + corpus.validation - 1])).shape == (1, 17)


def test_validation_takes_its_share_from_the_end(make_config: Make, tmp_path: Path) -> None:
    for fraction in (0.0, 0.25):
        spec = make_config(data=data(tmp_path / "data", validationFraction=fraction)).trainer
        corpus = open_corpus(spec, folder=prepare(spec))
        total = corpus.training + corpus.validation
        assert corpus.validation == int(total * fraction)


def test_tokens_are_built_once_for_the_same_content(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(make_config().trainer)
    monkeypatch.delattr(data_module, "make_tokenizer")
    assert prepare(make_config(schedule={"steps": 9}).trainer) == folder


def test_each_piece_is_heard_of_whenever_it_is_read(make_config: Make) -> None:
    spec = make_config().trainer
    heard: list[int] = []
    prepare(spec, on_piece=lambda: heard.append(1))
    assert len(heard) == 2 * len(list(read_pieces(find_files(spec.data), data=spec.data)))
    prepare(spec, on_piece=lambda: pytest.fail("they are there already"))


def test_damaged_tokens_are_built_again(make_config: Make) -> None:
    spec = make_config().trainer
    file = prepare(spec) / "tokens.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert (prepare(spec) / "tokens.bin").read_bytes() == whole


def test_the_key_follows_files_format_and_tokenizer(make_config: Make, tmp_path: Path) -> None:
    file = tmp_path / "data" / "a.txt"
    keys = [cache_key(make_config().trainer, files=[file])]
    keys.append(cache_key(make_config(tokenizer={"vocabSize": 301}).trainer, files=[file]))
    keys.append(cache_key(make_config(tokenizer={"path": str(tmp_path)}).trainer, files=[file]))
    jsonl = data(tmp_path, format="jsonl")
    keys.append(cache_key(make_config(data=jsonl).trainer, files=[file]))
    os.utime(file, ns=(1, 1))
    keys.append(cache_key(make_config().trainer, files=[file]))
    assert len(set(keys)) == len(keys)


def test_a_given_tokenizer_is_used(make_config: Make, tmp_path: Path) -> None:
    first = prepare(make_config().trainer) / TOKENIZER
    spec = make_config(tokenizer={"path": str(first), "vocabSize": 400}).trainer
    assert open_corpus(spec, folder=prepare(spec)).vocabulary == len(load_tokenizer(first))


def test_jsonl_reads_the_field_and_skips_blank_lines(make_config: Make, tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    rows = [json.dumps({"body": f"Record {n} tells something.", "n": n}) for n in range(99)]
    file.write_text("\n\n".join(rows))
    spec = make_config(data=data(file, format="jsonl", textField="body")).trainer
    folder = prepare(spec)
    tokens = np.array(open_corpus(spec, folder=folder).tokens)
    assert load_tokenizer(folder / TOKENIZER).decode(tokens.tolist()).count(END) == 99


@pytest.mark.parametrize("name", ["a.txt", "*.txt", ""])
def test_a_path_is_a_file_a_glob_or_a_folder(name: str, make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    hidden = folder / "..data"
    hidden.mkdir()
    (hidden / "a.txt").write_text("twice")
    spec = make_config(data=data(folder / name)).trainer
    assert find_files(spec.data) == [folder / "a.txt"]


def test_a_missing_path_says_what_to_do(make_config: Make, tmp_path: Path) -> None:
    error = fails(make_config, data=data(tmp_path / "absent"))
    assert error.cause == "InvalidData"
    expected = f"spec.trainer.data.path: no file matches, got {tmp_path / 'absent'}; "
    assert error.message.startswith(expected)


def test_a_path_that_can_not_be_looked_at_says_why(make_config: Make, tmp_path: Path) -> None:
    error = fails(make_config, data=data(tmp_path / ("a" * 300)))
    assert error.cause == "InvalidData"
    assert "File name too long; check the volume's rights" in error.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"good\n" * 5 + b"ba\0d", "NUL byte at offset 27"),
        (b"good\n" * 40000 + b"\xff\xfe", "not UTF-8 at offset 200000"),
        (b"short", "sequenceLength: 16 is longer than the data"),
    ],
)
def test_unusable_text_is_named_with_its_place(
    content: bytes, said: str, make_config: Make, tmp_path: Path
) -> None:
    (tmp_path / "data" / "a.txt").write_bytes(content)
    error = fails(make_config)
    assert error.cause == "InvalidData"
    assert said in error.message


@pytest.mark.parametrize(
    ("line", "said"), [("{oops", "not valid JSON"), ("[1]", "no text"), ('{"text": 1}', "'text'")]
)
def test_a_bad_jsonl_line_is_named_by_file_and_line(
    line: str, said: str, make_config: Make, tmp_path: Path
) -> None:
    file = tmp_path / "b.jsonl"
    file.write_text('{"text": "fine"}\n' * 2 + line)
    error = fails(make_config, data=data(file, format="jsonl"))
    assert f"{file}:3" in error.message
    assert said in error.message


@pytest.mark.parametrize("content", [None, {}, {"tokenizer.json": "{oops"}])
def test_a_folder_without_a_tokenizer_is_refused(
    content: dict[str, str] | None, make_config: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "tokenizer"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    error = fails(make_config, tokenizer={"path": str(folder)})
    assert error.cause == "InvalidData"
    assert error.message.startswith("spec.trainer.tokenizer.path: no Hugging Face tokenizer, got ")


def test_an_output_that_is_no_folder_is_unwritable(make_config: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = fails(make_config, output={"path": str(tmp_path / "file")})
    assert error.cause == "OutputUnwritable"
    assert str(tmp_path / "file") in error.message

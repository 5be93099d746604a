import json
from pathlib import Path

import pytest

from perf.tool_sets import complete, half_of, ndcg, read_sets, recall


def test_gains_are_discounted_by_rank_and_graded() -> None:
    labels = {"a": 2.0, "b": 1.0}
    assert ndcg(["a", "b", "c"], labels, 5) == pytest.approx(1)
    assert ndcg(["c", "a"], {"a": 1.0}, 5) == pytest.approx(0.6309, abs=1e-4)
    assert ndcg(["b", "a"], labels, 5) < 1
    assert ndcg(["c"] * 5 + ["a"], labels, 5) == 0


def test_recall_and_completeness_count_what_was_found() -> None:
    labels = {"a": 1.0, "b": 1.0}
    assert recall(["a", "c"], labels, 2) == 0.5
    assert complete(["a", "c"], labels, 2) == 0
    assert complete(["b", "a"], labels, 2) == 1


def test_a_folder_of_sets_is_read_and_halved_by_hash(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "t", "name": "read"}) + "\n")
    queries = [json.dumps({"_id": f"q{i}", "text": f"text {i}"}) for i in range(40)]
    (folder / "queries.jsonl").write_text("\n".join(queries))
    labels = [f"q{i}\tt\t1" for i in range(30)]
    (folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *labels]))

    (tune,), (test,) = (read_sets(tmp_path, half, 100) for half in ("tune", "test"))

    assert list(tune.tools) == ["t"]
    texts = {query.text for query in tune.queries}, {query.text for query in test.queries}
    assert texts[0].isdisjoint(texts[1])
    assert len(texts[0] | texts[1]) == 30
    assert texts[1] == {f"text {i}" for i in range(30) if half_of(f"q{i}") == "test"}


def test_an_empty_folder_is_an_error_that_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no set there"):
        read_sets(tmp_path, "test", 1)

from typing import Any

from flagscale_api import keys
from flagscale_operator.controller.store import ObjectStore, label_of


def body(name: str, version: int, *, uid: str = "u1", owner: str | None = None) -> dict[str, Any]:
    labels = {keys.TRAIN_JOB_LABEL: owner} if owner else {}
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "labels": labels,
            "managedFields": [{"manager": "m"}],
        }
    }


def test_an_older_version_never_replaces_a_newer_one() -> None:
    store = ObjectStore()
    store.upsert(body("a", 10))

    assert store.upsert(body("a", 9)) is False

    kept = store.get(("ns", "a"))
    assert kept is not None
    assert kept["metadata"]["resourceVersion"] == "10"
    assert "managedFields" not in kept["metadata"]


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    store = ObjectStore()
    store.upsert(body("a", 10))
    store.remove(body("a", 11))

    assert store.upsert(body("a", 12)) is False
    assert store.get(("ns", "a")) is None


def test_deleting_an_old_object_leaves_a_new_one_of_the_same_name() -> None:
    store = ObjectStore()
    store.upsert(body("a", 20, uid="new"))

    store.remove(body("a", 11, uid="old"))

    assert store.get(("ns", "a")) is not None


def test_children_are_found_by_the_label_of_their_owner() -> None:
    store = ObjectStore(owner_name=label_of(keys.TRAIN_JOB_LABEL))
    store.upsert(body("a-a1", 1, uid="1", owner="a"))
    store.upsert(body("a-a2", 2, uid="2", owner="a"))
    store.upsert(body("b-a1", 3, uid="3", owner="b"))

    names = [b["metadata"]["name"] for b in store.owned_by(("ns", "a"))]
    store.remove(body("a-a1", 4, uid="1", owner="a"))

    assert names == ["a-a1", "a-a2"]
    assert len(store.owned_by(("ns", "a"))) == 1
    assert store.owned_by(("other", "a")) == []

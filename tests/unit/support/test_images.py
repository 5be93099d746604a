import io
import json
import tarfile
from pathlib import Path

import pytest

from support.images.layout import CONTAINERD_NAME, REF_NAME, Layout, write_archive
from support.images.pruning import older
from support.images.roles import Image, content_key, folder_parts


def sha(digit: str) -> str:
    return "sha256:" + digit * 64


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    manifest = {"config": {"digest": sha("c")}, "layers": [{"digest": sha("1")}]}
    entry = {"digest": sha("a"), "annotations": {REF_NAME: "operator-1"}}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [entry]}))
    made = Layout(tmp_path)
    made.path(sha("a")).parent.mkdir(parents=True)
    made.path(sha("a")).write_text(json.dumps(manifest))
    made.path(sha("c")).write_bytes(b"config")
    made.path(sha("1")).write_bytes(b"layer")
    return made


def archive_names(layout: Layout, present: set[str]) -> list[str]:
    out = io.BytesIO()
    write_archive(out, layout, "operator-1", "localhost/x:1", present)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        return tar.getnames()


def test_the_key_does_not_depend_on_the_order() -> None:
    parts = [("a", b"1"), ("b", b"2")]
    assert content_key(parts) == content_key(reversed(parts))


def test_moved_bytes_change_the_key() -> None:
    assert content_key([("a", b"12")]) != content_key([("a1", b"2")])


def test_byte_code_does_not_change_the_key(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x = 1")
    before = content_key(folder_parts(tmp_path, "src"))
    (tmp_path / "src" / "__pycache__").mkdir()
    (tmp_path / "src" / "__pycache__" / "a.pyc").write_bytes(b"code")
    assert content_key(folder_parts(tmp_path, "src")) == before


def test_references_name_a_registry_that_is_never_asked() -> None:
    assert Image("operator", "abc").reference == "localhost/flagscale-operator:abc"


def test_an_absent_layout_holds_no_images(tmp_path: Path) -> None:
    assert Layout(tmp_path / "none").names() == set()


def test_an_archive_for_an_empty_store_holds_every_blob(layout: Layout) -> None:
    blobs = [name for name in archive_names(layout, set()) if name.startswith("blobs/")]
    assert [name[-1] for name in blobs] == ["a", "c", "1"]


def test_a_layer_that_the_store_has_is_not_sent_again(layout: Layout) -> None:
    assert f"blobs/sha256/{'1' * 64}" not in archive_names(layout, {sha("1")})


def test_an_archive_names_its_image_for_containerd(layout: Layout) -> None:
    out = io.BytesIO()
    write_archive(out, layout, "operator-1", "localhost/x:1", set())
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        member = tar.extractfile("index.json")
        assert member is not None
        index = json.load(member)
    assert index["manifests"][0]["annotations"] == {CONTAINERD_NAME: "localhost/x:1"}


def test_removing_an_image_keeps_the_layers_of_others(layout: Layout) -> None:
    index = json.loads((layout.folder / "index.json").read_text())
    index["manifests"].append({"digest": sha("b"), "annotations": {REF_NAME: "operator-2"}})
    (layout.folder / "index.json").write_text(json.dumps(index))
    manifest = {"config": {"digest": sha("d")}, "layers": [{"digest": sha("1")}]}
    layout.path(sha("b")).write_text(json.dumps(manifest))
    layout.path(sha("d")).write_bytes(b"config")
    layout.remove({"operator-2"})
    assert layout.names() == {"operator-1"}
    assert layout.path(sha("1")).exists()
    assert not layout.path(sha("d")).exists()


def test_only_other_versions_of_the_same_image_are_older() -> None:
    names = ["localhost/x:1", "localhost/x:2", "localhost/xy:1"]
    assert older(names, "localhost/x:2", ":") == {"localhost/x:1"}

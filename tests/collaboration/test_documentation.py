"""The examples of docs/collaboration.md run, and print what stands below them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/collaboration.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_page_print_what_it_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: list[tuple[str, str]] = BLOCK.findall((ROOT / PAGE).read_text())
    assert [kind for kind, _ in found] == ["python", "text"] * (len(found) // 2)
    scope: dict[str, object] = {}
    for (_, code), (_, expected) in zip(found[::2], found[1::2], strict=True):
        exec(compile(code, PAGE, "exec"), scope)  # noqa: S102
        assert capsys.readouterr().out == expected

"""The examples of README and docs/tools.md run, and print what stands below them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / page).read_text())


def test_the_example_of_the_readme_finds_both_tools(capsys: pytest.CaptureFixture[str]) -> None:
    ((_, code),) = (block for block in blocks("README.md") if block[0] == "python")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert set(capsys.readouterr().out.splitlines()) == {"sky get_weather", "post send_mail"}


def test_the_examples_of_the_page_print_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    found, scope = blocks("docs/tools.md"), dict[str, object]()
    assert [kind for kind, _ in found] == ["python", "text"] * (len(found) // 2)
    for (_, code), (_, expected) in zip(found[::2], found[1::2], strict=True):
        exec(compile(code, "docs/tools.md", "exec"), scope)  # noqa: S102
        assert capsys.readouterr().out == expected

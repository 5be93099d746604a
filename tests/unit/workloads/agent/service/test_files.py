import json
from pathlib import Path

import pytest

from flagscale_workloads.agent.service.files import ToolFilesError, read_tools

TOOL = "kind: AgentTool\nmetadata: {name: %s}\nspec: {description: x}\n"


def names(path: Path) -> list[tuple[str, str]]:
    return [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in read_tools(path)]


def test_all_tools_of_a_folder_are_read_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{TOOL % 'a'}---\n{TOOL % 'b'}---\nkind: Secret\n---\n")
    item = {"kind": "AgentTool", "metadata": {"name": "c", "namespace": "team"}, "spec": {}}
    (tmp_path / "b.json").write_text(json.dumps({"kind": "List", "items": [item]}))
    (tmp_path / "notes.txt").write_text("not a tool")
    assert names(tmp_path) == [("default", "a"), ("default", "b"), ("team", "c")]


def test_characters_beyond_the_basic_plane_stay_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    body = {"kind": "AgentTool", "metadata": {"name": "a"}, "spec": {"description": "🦾"}}
    file.write_text(json.dumps(body))
    assert read_tools(file)[0]["spec"]["description"] == "🦾"


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("a.yaml", "kind: [", "cannot be read"),
        ("a.json", "{", "cannot be read"),
        ("a.yaml", f"{TOOL % 'a'}---\n{TOOL % 'a'}", "default/a occurs twice"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    tmp_path: Path, file: str, content: str, told: str
) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(ToolFilesError, match=told):
        read_tools(tmp_path)

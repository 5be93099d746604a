import pytest

from flagscale_workloads.agent import Parameter, Tool
from flagscale_workloads.agent.tool_match.tool import PARAMETERS, TEXT_CHARACTERS


def test_control_characters_go_and_lengths_are_cut() -> None:
    tool = Tool.create("a\x00b\u202e", "x\n\ty " + "z" * 1_000_000)

    assert tool.name == "a b"
    assert tool.description.startswith("x y z")
    assert len(tool.description) == TEXT_CHARACTERS


def test_a_tool_needs_a_name() -> None:
    with pytest.raises(ValueError, match=r"tool: a name is needed, got '\\x00'"):
        Tool.create("\x00")


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown field, got \['colour'\]"):
        Tool.create("a", colour="red")


def test_parameters_come_from_the_schema_with_nested_ones_by_path() -> None:
    inner = {"type": "object", "properties": {"city": {"description": "where"}}}
    schema = {"properties": {"place": inner, "days": {"type": "array", "items": inner}}}

    found = Tool.create("a", input_schema=schema).parameters

    assert [one.name for one in found] == ["place", "place.city", "days", "days.city"]
    assert found[1] == Parameter("place.city", "where")


@pytest.mark.parametrize("schema", [{"properties": 3}, {"properties": {"a": True}}, {"type": 4}])
def test_a_schema_that_is_none_harms_nothing(schema: dict[str, object]) -> None:
    assert len(Tool.create("a", input_schema=schema).parameters) <= 1


def test_a_schema_without_end_is_cut() -> None:
    loop: dict[str, object] = {}
    loop["properties"] = {f"p{i}": loop for i in range(50)}

    assert len(Tool.create("a", input_schema=loop).parameters) == PARAMETERS


def test_equal_names_of_two_servers_are_two_tools() -> None:
    assert Tool.create("search", server="a").key != Tool.create("search", server="b").key


def test_texts_that_run_together_have_other_digests() -> None:
    assert Tool.create("ab", "c").text_digest() != Tool.create("a", "bc").text_digest()

"""Categories are changed through the service by those who may change the tools themselves."""

from typing import Any

import pytest

from .conftest import ADMIN, Cluster, Running, tool

pytestmark = pytest.mark.asyncio(loop_scope="session")
EDITOR = "editor-token"


async def ask(up: Cluster, verb: str, token: str = EDITOR, **body: Any) -> tuple[int, Any]:
    async with up.service.client(headers={"authorization": f"Bearer {token}"}) as client:
        answer = await client.post(f"/v1/categories:{verb}", json=body)
    return answer.status_code, answer.json()


def refused(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def ids(namespace: str, *names: str) -> list[dict[str, str]]:
    return [{"namespace": namespace, "name": name} for name in names]


async def counted(up: Cluster, namespace: str, **expected: int) -> None:
    """Until the searches see so many tools of each category."""

    async def holds() -> bool:
        found = [
            await up.names("anything", namespaces=[namespace], categories=[category], k=50)
            for category in expected
        ]
        return [len(one) for one in found] == list(expected.values())

    await up.service.until(holds)


async def shop(up: Cluster, namespace: str, **categories: str | None) -> None:
    """A namespace with a tool of each name, that the editor may see and change."""
    up.kube.users[EDITOR] = "edith"
    up.kube.allowed |= {("edith", verb, namespace, "") for verb in ("get", "patch")}
    for name, category in categories.items():
        spec = {"category": category} if category else {}
        await up.kube.put(tool(name, f"Sell a {name} to somebody.", namespace, **spec))
        await up.until_found(f"{namespace}/{name}")


def category(up: Cluster, namespace: str, name: str) -> str | None:
    found: str | None = up.kube.objects[namespace, name]["spec"].get("category")
    return found


async def test_tools_are_filed_where_the_request_says(up: Cluster) -> None:
    await shop(up, "shop", chair=None, table="wood", lamp=None)
    told = await ask(up, "assign", category="furniture", tools=ids("shop", "chair", "table"))
    assert told == (200, {"changed": 2, "refused": [], "remaining": 0})
    # In the object itself: kubectl and every other replica see it.
    assert category(up, "shop", "table") == "furniture"
    await counted(up, "shop", furniture=2, wood=0)
    await ask(up, "assign", category="", tools=ids("shop", "chair"))
    assert category(up, "shop", "chair") is None


async def test_a_category_is_renamed_merged_and_removed(up: Cluster) -> None:
    await shop(up, "mall", bread="food", cake="sweets", soap=None)
    assert (await ask(up, "rename", category="sweets", to="food"))[1]["changed"] == 1
    await counted(up, "mall", food=2, sweets=0)
    assert (await ask(up, "remove", category="food"))[1]["changed"] == 2
    await counted(up, "mall", food=0)
    assert [category(up, "mall", name) for name in ("bread", "cake")] == [None, None]
    assert refused(await ask(up, "rename", category="sweets", to="x")) == (404, "not_found")


async def test_who_may_not_change_a_tool_may_not_file_it(up: Cluster) -> None:
    await shop(up, "bank", gold=None, coin=None)
    up.kube.allowed -= {("edith", "patch", "bank", "")}
    up.kube.users["reader-token"] = "rita"
    up.kube.allowed |= {("rita", "get", "bank", ""), ("rita", "patch", "bank", "coin")}
    tools = ids("bank", "gold", "coin")
    told = await ask(up, "assign", "reader-token", category="money", tools=tools)
    (one,) = told[1]["refused"]
    assert (told[0], told[1]["changed"], one["name"]) == (200, 1, "gold")
    assert "may patch agenttools" in one["message"]
    gold = ids("bank", "gold")
    none = await ask(up, "assign", "reader-token", category="money", tools=gold)
    assert refused(none) == (403, "forbidden")
    unseen = await ask(up, "assign", "reader-token", category="money", tools=ids("other", "gold"))
    assert refused(unseen) == (404, "not_found")
    assert category(up, "bank", "gold") is None


async def test_a_category_that_a_source_gives_is_the_sources_to_change(up: Cluster) -> None:
    await shop(up, "farm")
    body = tool("egg", "Sell an egg.", "farm", category="food")
    fields = {"f:spec": {"f:category": {}}}
    body["metadata"]["managedFields"] = [
        {"manager": "flagscale/agenttoolsource", "operation": "Apply", "fieldsV1": fields}
    ]
    await up.kube.put(body)
    await up.until_found("farm/egg")
    code, told = await ask(up, "assign", category="eggs", tools=ids("farm", "egg"))
    assert (code, "AgentToolSource" in told["error"]["message"]) == (403, True)
    assert category(up, "farm", "egg") == "food"


async def test_a_service_that_may_not_patch_says_how_to_let_it(up: Cluster) -> None:
    await shop(up, "pier", boat=None)
    up.kube.may_patch = False
    told = await ask(up, "assign", category="ships", tools=ids("pier", "boat"))
    up.kube.may_patch = True
    assert refused(told) == (403, "not_enabled")
    assert "matcher.manageCategories=true" in told[1]["error"]["message"]


@pytest.mark.parametrize(
    ("verb", "body", "where"),
    [
        ("assign", {"category": "x"}, "tools"),
        ("assign", {"category": "x", "tools": []}, "tools"),
        ("assign", {"category": "x" * 64, "tools": ids("a", "b")}, "category"),
        ("rename", {"category": "x"}, "to"),
        ("rename", {"category": "x", "to": ""}, "to"),
        ("remove", {"category": "a\nb"}, "category"),
        ("remove", {"category": "x", "more": 1}, "more"),
    ],
)
async def test_a_wrong_request_names_its_field(
    up: Cluster, verb: str, body: dict[str, Any], where: str
) -> None:
    code, told = await ask(up, verb, ADMIN, **body)
    assert (code, told["error"]["code"]) == (400, "invalid_request")
    assert told["error"]["message"].startswith(where)


async def test_tools_of_files_are_changed_in_their_files(running: Running) -> None:
    async with running.service.client() as client:
        answer = await client.post("/v1/categories:remove", json={"category": "weather"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "read_only")

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.serve.http.messages import HttpError
from flagscale_workloads.serve.media import check_media
from support.gateways import CHAT, running_gateway
from support.scripted_engine import scripted_engine

METADATA = "http://169.254.169.254/latest"
PICTURE = "data:image/png;base64,AAAA"


def asked(url: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]}


@pytest.mark.parametrize(
    "document",
    [
        asked({"url": METADATA}),
        asked(METADATA),
        asked({"url": "HTTPS://engine"}),
        asked({"url": "file:///etc/passwd"}),
        asked({"url": "/etc/passwd"}),
        asked({"url": None}),
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": METADATA}]}]},
        {"input": [{"type": "function_call_output", "output": [{"image_url": METADATA}]}]},
    ],
)
def test_no_address_is_fetched_for_a_client(document: dict[str, Any]) -> None:
    with pytest.raises(HttpError) as refused:
        check_media(document, remote=False)

    assert refused.value.status == 400
    assert "_url is not fetched, got " in refused.value.message


def test_what_is_sent_along_passes_and_so_do_addresses_where_the_engine_bounds_them() -> None:
    check_media(asked({"url": PICTURE}), remote=False)
    check_media({"messages": [{"role": "user", "content": METADATA}]}, remote=False)
    check_media(asked({"url": METADATA}), remote=True)
    with pytest.raises(HttpError):
        check_media(asked({"url": "file:///etc/passwd"}), remote=True)


@given(
    st.recursive(
        st.none() | st.text(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
    )
)
def test_an_address_is_found_however_deep_it_lies(around: Any) -> None:
    check_media({"messages": around}, remote=False)
    with pytest.raises(HttpError):
        check_media({"messages": [around, [{"a": [asked(METADATA)]}]]}, remote=False)


@pytest.mark.parametrize("name", ["vllm", "sglang"])
@pytest.mark.parametrize("extra", [{}, {"allowed-media-domains": "pictures.example"}])
def test_an_engine_fetches_only_with_a_list_of_hosts(name: Any, extra: dict[str, str]) -> None:
    engine = EngineSpec.model_validate({"name": name, "extraArgs": extra})
    adapter = adapter_of(name)
    adapter.check(engine, device="cuda")

    assert ("media_urls" in adapter.features(engine, device="cuda")) == bool(extra)


async def test_the_gateway_refuses_before_the_engine_sees_it() -> None:
    async with scripted_engine() as engine, running_gateway(engine.port) as gateway:
        client = await gateway.connect()
        client.post(CHAT, asked({"url": METADATA}))
        answer = await client.answer()
        await client.close()

    assert (answer.status, answer.json()["error"]["param"]) == (400, "messages")
    assert engine.requests == []

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest

from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.errors import RequestError
from flagscale_workloads.inference.grammar import MAX_SCHEMA_BYTES, Grammars
from flagscale_workloads.inference.text_model import TextModel

from .conftest import NAME
from .test_app import HI, opened

Start = Callable[..., InferenceEngine]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Paris", "Rome"]},
        "warm": {"type": "boolean"},
        "hours": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 23},
                  "minItems": 1, "maxItems": 3},
    },
    "required": ["city", "warm", "hours"],
    "additionalProperties": False,
}  # fmt: skip


def form(schema: Any) -> dict[str, Any]:
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named}


def asked(seed: int, **more: Any) -> dict[str, Any]:
    fields = {"model": NAME, "messages": HI, "max_tokens": 120, "seed": seed}
    return {**fields, "response_format": form(SCHEMA), **more}


async def test_every_answer_follows_the_schema_whatever_the_seed(start: Start, llama: Path) -> None:
    async with opened(start(llama)) as door:
        create: Any = door.openai.chat.completions.create
        answers = await asyncio.gather(*(create(**asked(seed, temperature=2)) for seed in range(8)))
    texts = [answer.choices[0].message.content for answer in answers]
    for text in texts:
        jsonschema.validate(json.loads(text), SCHEMA)
    assert {answer.choices[0].finish_reason for answer in answers} == {"stop"}
    assert len(set(texts)) > 1


async def test_a_stream_says_the_same_and_probabilities_stay_the_models_own(
    start: Start, llama: Path
) -> None:
    async with opened(start(llama)) as door:
        create: Any = door.openai.chat.completions.create
        whole = await create(**asked(3, logprobs=True, top_logprobs=2))
        chunks = [chunk async for chunk in await create(**asked(3, stream=True))]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    tokens = whole.choices[0].logprobs.content
    assert all(math.isfinite(t.logprob) for token in tokens for t in token.top_logprobs)


async def test_a_neighbour_in_the_batch_is_not_held_to_the_schema(
    start: Start, llama: Path
) -> None:
    async with opened(start(llama)) as door:
        create: Any = door.openai.chat.completions.create
        free: Any = asked(5, extra_body={"ignore_eos": True}) | {"response_format": None}
        alone = await create(**free)
        together, _ = await asyncio.gather(create(**free), create(**asked(6)))
    assert together.choices[0].message.content == alone.choices[0].message.content


async def test_json_of_any_kind_is_an_object(start: Start, llama: Path) -> None:
    async with opened(start(llama)) as door:
        create: Any = door.openai.chat.completions.create
        answer = await create(
            **asked(1, max_tokens=4) | {"response_format": {"type": "json_object"}}
        )
    assert answer.choices[0].message.content.startswith("{")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "sphere"},
        {"type": "string", "pattern": "("},
        {"$ref": "https://example.org/schema.json"},
        {"type": "object", "description": "x" * MAX_SCHEMA_BYTES},
    ],
)
async def test_a_schema_that_can_not_be_kept_to_is_refused(
    start: Start, llama: Path, schema: Any
) -> None:
    async with opened(start(llama)) as door:
        with pytest.raises(openai.BadRequestError) as refused:
            await door.openai.chat.completions.create(
                **asked(1) | {"response_format": form(schema)}
            )
    assert refused.value.param == "response_format"


def test_a_tokenizer_that_can_not_be_constrained_refuses_schemas(model: TextModel) -> None:
    grammars = Grammars(object(), vocabulary=model.vocabulary, ends=model.ends)
    with pytest.raises(RequestError, match="can't be constrained"):
        grammars.of_schema(SCHEMA, param="response_format")

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from flagscale_workloads.inference import generation
from flagscale_workloads.inference.errors import RequestError, internal
from flagscale_workloads.inference.generation import Generation
from flagscale_workloads.inference.jobs import Event, Failure, GenerationInput, Job, TextPiece
from flagscale_workloads.inference.meters import Meters
from flagscale_workloads.inference.sampling import Sampling, Token
from flagscale_workloads.inference.text_model import TextModel

PROMPTS = [
    "The quick",
    "nobody",
    "lazy dogs, and nobody minds",
    "a",
    "jump over the quick foxes " * 4,
]


class Client:
    """A request that keeps what it is told."""

    def __init__(self, model: TextModel, prompt: str, **parts: Any) -> None:
        about = {"max_tokens": 24, "temperature": 0.0, "ignore_eos": True, **parts}
        tokens = tuple(model.tokenizer(prompt)["input_ids"])
        self.events: list[Event] = []
        self.job = Job(GenerationInput(tokens, Sampling(**about)), self.events.append)

    @property
    def tokens(self) -> list[Token]:
        return [t for e in self.events if isinstance(e, TextPiece) for t in e.tokens]

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, TextPiece))

    @property
    def error(self) -> RequestError | None:
        return next((e.error for e in self.events if isinstance(e, Failure)), None)


def finish(running: Generation) -> None:
    while running.waiting or running.running:
        running.step()


def alone(model: TextModel, prompt: str, **parts: Any) -> list[int]:
    client, running = (
        Client(model, prompt, **parts),
        Generation(model, max_batch=1, meters=Meters()),
    )
    running.add(client.job)
    finish(running)
    return client.ids


def together(
    model: TextModel, clients: Sequence[Client], *, max_batch: int = 8, steps_between: int = 0
) -> Meters:
    meters = Meters()
    running = Generation(model, max_batch=max_batch, meters=meters)
    for client in clients:
        running.add(client.job)
        for _ in range(steps_between):
            running.step()
    finish(running)
    return meters


@pytest.mark.parametrize(("max_batch", "steps_between"), [(8, 0), (8, 3), (2, 0)])
def test_greedy_text_does_not_depend_on_the_batch(
    model: TextModel, max_batch: int, steps_between: int
) -> None:
    clients = [Client(model, prompt, max_tokens=10 + 3 * i) for i, prompt in enumerate(PROMPTS)]
    together(model, clients, max_batch=max_batch, steps_between=steps_between)
    for i, (client, prompt) in enumerate(zip(clients, PROMPTS, strict=True)):
        assert client.ids == alone(model, prompt, max_tokens=10 + 3 * i)
    assert len({tuple(client.ids[:8]) for client in clients}) == len(clients)


def test_greedy_text_is_that_of_transformers_itself(model: TextModel) -> None:
    tokens = model.tokenizer(PROMPTS[2], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        theirs = model.network.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=24, min_new_tokens=24,
            do_sample=False, pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
    assert alone(model, PROMPTS[2]) == theirs[0, tokens.shape[1] :].tolist()


def test_a_seed_gives_the_same_text_in_any_batch(model: TextModel) -> None:
    about = {"temperature": 1.2, "top_p": 0.9, "top_k": 50}
    clients = [Client(model, PROMPTS[0], seed=seed, **about) for seed in (1, 2, 3)]
    together(model, clients)
    assert [c.ids for c in clients] == [
        alone(model, PROMPTS[0], seed=s, **about) for s in (1, 2, 3)
    ]
    assert clients[0].ids != clients[1].ids


def test_a_long_prompt_lets_the_others_write_in_between(
    model: TextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = alone(model, PROMPTS[4])
    monkeypatch.setattr(generation, "CHUNK_TOKENS", 8)
    running = Generation(model, max_batch=2, meters=Meters())
    short, long = Client(model, "a"), Client(model, PROMPTS[4])
    running.add(short.job)
    running.step()
    running.add(long.job)
    running.step()
    running.step()
    assert not long.events
    assert len(short.ids) >= 2
    finish(running)
    assert long.ids == whole


def test_a_cancelled_request_frees_its_place_before_the_next_step(model: TextModel) -> None:
    running = Generation(model, max_batch=1, meters=Meters())
    first, second = Client(model, "a", max_tokens=200), Client(model, "The quick", max_tokens=2)
    running.add(first.job)
    running.add(second.job)
    running.step()
    assert (running.running, running.waiting) == (1, 1)
    first.job.cancel()
    running.step()
    assert second.events
    told = len(first.events)
    finish(running)
    assert len(first.events) == told


def test_a_stop_text_and_the_end_token_end_the_answer(model: TextModel) -> None:
    free = Client(model, PROMPTS[2])
    together(model, [free])
    stop = free.text[6:9]
    stopped = Client(model, PROMPTS[2], stop=(stop,))
    together(model, [stopped])
    assert stopped.text == free.text[: free.text.index(stop)]
    last = stopped.events[-1]
    assert isinstance(last, TextPiece)
    assert last.finish == "stop"

    model.ends = frozenset({free.ids[5]})
    ended = Client(model, PROMPTS[2], ignore_eos=False)
    together(model, [ended])
    assert ended.ids == free.ids[: free.ids.index(free.ids[5]) + 1]


def test_logprobs_come_with_each_token(model: TextModel) -> None:
    client = Client(model, "a", alternatives=3, max_tokens=5)
    together(model, [client])
    for token in client.tokens:
        assert len(token.top) == 3
        assert token.top[0] == (token.id, token.logprob)


class ScarceMemory:
    """A device that holds no more than some rows, as a hook of the network."""

    def __init__(self, network: Any, *, rows: int) -> None:
        self._rows = rows
        network.model.layers[1].register_forward_pre_hook(self._check, with_kwargs=True)

    def _check(self, _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        if hidden.shape[0] > self._rows:
            raise torch.OutOfMemoryError("no memory for so many rows")


def test_a_batch_that_needs_too_much_memory_is_split(model: TextModel) -> None:
    expected = [alone(model, prompt) for prompt in PROMPTS]
    ScarceMemory(model.network, rows=2)
    clients = [Client(model, prompt) for prompt in PROMPTS]
    meters = together(model, clients)
    assert [client.ids for client in clients] == expected
    assert meters.registry.get_sample_value("flagscale_engine_out_of_memory_total") == 1


def test_a_seeded_text_survives_a_split(model: TextModel) -> None:
    seeded = {"temperature": 1.0, "seed": 5}
    expected = alone(model, PROMPTS[0], **seeded)
    ScarceMemory(model.network, rows=1)
    clients = [Client(model, PROMPTS[0], **seeded) for _ in range(2)]
    together(model, clients, steps_between=4)
    assert [client.ids for client in clients] == [expected] * 2


def test_what_does_not_fit_alone_fails_and_the_next_one_is_served(model: TextModel) -> None:
    ScarceMemory(model.network, rows=0)
    client = Client(model, "a")
    together(model, [client])
    assert client.error is not None
    assert client.error.code == "out_of_memory"


def test_a_failing_model_ends_its_requests_and_is_tried_again(
    model: TextModel, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("broken kernel")

    running = Generation(model, max_batch=1, meters=Meters())
    first, second, third = (Client(model, "a") for _ in range(3))
    for client in (first, third):
        running.add(client.job)
    running.step()
    hook = model.network.model.layers[1].register_forward_pre_hook(fail)
    running.step()
    hook.remove()
    running.add(second.job)
    finish(running)
    assert first.error is not None
    assert first.error.message == internal().message
    assert "broken kernel" in caplog.text
    assert len(second.ids) == len(third.ids) == 24


def test_a_prompt_that_the_model_fails_on_ends_alone(
    model: TextModel, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = Client(model, "a"), Client(model, "a")
    bad.job.input = GenerationInput((100_000,), Sampling(max_tokens=1))
    together(model, [good, bad], steps_between=1)
    assert bad.error is not None
    assert good.ids == alone(model, "a")
    assert "IndexError" in caplog.text


def test_tokens_are_counted_once(model: TextModel) -> None:
    clients = [Client(model, prompt, max_tokens=5) for prompt in PROMPTS]
    meters = together(model, clients)
    value = meters.registry.get_sample_value
    prompts = sum(len(model.tokenizer(prompt)["input_ids"]) for prompt in PROMPTS)
    assert value("flagscale_engine_prompt_tokens_total") == prompts
    assert value("flagscale_engine_generated_tokens_total") == 25
    assert value("flagscale_engine_kv_cache_usage") == 0

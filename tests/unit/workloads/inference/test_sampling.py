import math

import torch

from flagscale_workloads.inference.sampling import Sampling, Token, choose, generator_for

CPU = torch.device("cpu")
LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def draw(count: int = 400, **parts: float) -> list[int]:
    sampling = Sampling(max_tokens=1, seed=7, **parts)  # type: ignore[arg-type]
    generator = generator_for(sampling, CPU)
    return [choose(LOGITS, sampling, generator).id for _ in range(count)]


def test_temperature_zero_takes_the_most_likely() -> None:
    assert set(draw(temperature=0)) == {0}


def test_frequencies_follow_the_probabilities() -> None:
    drawn = draw(4000)
    assert all(math.isclose(drawn.count(i) / 4000, p, abs_tol=0.03)
               for i, p in enumerate((0.5, 0.3, 0.15, 0.05)))  # fmt: skip


def test_top_k_and_top_p_cut_the_unlikely_off() -> None:
    assert set(draw(top_k=2)) == {0, 1}
    assert set(draw(top_p=0.81)) == {0, 1, 2}
    assert set(draw(top_p=0.8)) == {0, 1}
    assert set(draw(top_p=0.01)) == {0}
    assert set(draw(top_k=99, top_p=0.6)) == {0, 1}


def test_a_seed_gives_the_same_tokens() -> None:
    assert draw(temperature=1.3) == draw(temperature=1.3)


def test_logprobs_are_the_models_own_whatever_the_temperature() -> None:
    sampling = Sampling(max_tokens=1, temperature=0, alternatives=2)
    token = choose(LOGITS, sampling, generator_for(sampling, CPU))
    assert isinstance(token, Token)
    assert math.isclose(token.logprob or 0, math.log(0.5), abs_tol=1e-6)
    assert [index for index, _ in token.top] == [0, 1]

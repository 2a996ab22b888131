"""The neural cache (Grave et al. 2017), against loops over words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtl.training.cache import Cache, Memory
from tests.contracts.variants import prefix_mask

WORDS = 4


def by_hand(cache: Cache, states: list[Tensor], words: list[int], model: list[float]) -> list:
    """The log-probability of each word of one stream."""
    found = []
    for t, word in enumerate(words):
        before = range(max(0, t - cache.window), t)
        weights = {i: math.exp(cache.theta * float(states[t] @ states[i])) for i in before}
        own = sum(weight for i, weight in weights.items() if words[i] == word)
        mixed = (1 - cache.weight) * math.exp(model[t])
        mixed += cache.weight * own / sum(weights.values()) if weights else 0
        found.append(math.log(mixed) if weights else model[t])
    return found


def pieces(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 15), st.sampled_from([0.0, 0.3, 2.0]))
def test_the_mixture_is_that_of_the_formula(
    length: int, size: int, window: int, theta: float
) -> None:
    cache = Cache(window, theta, 0.2)
    torch.manual_seed(length)
    states, words = torch.randn(2, length, 3).double(), torch.randint(WORDS, (2, length))
    model = torch.rand(2, length).double().log()
    memory, mask = Memory(cache), torch.ones(2, length, dtype=torch.bool)
    found = torch.cat(
        [
            memory.mix(*(x[:, p] for x in (states, mask, words, model)))
            for p in pieces(length, size)
        ],
        dim=1,
    )
    for row in range(2):
        given = words[row].tolist(), model[row].tolist()
        expected = by_hand(cache, list(states[row]), *given)
        assert found[row].tolist() == pytest.approx(expected, rel=1e-9)


def test_padding_is_neither_scored_nor_remembered() -> None:
    memory, mask = Memory(Cache(theta=1.0)), prefix_mask([3, 1])
    states, words = torch.randn(2, 3, 4).double(), torch.randint(WORDS, (2, 3))
    model = torch.full((2, 3), -1.0).double()
    found = memory.mix(states, mask, words, model)
    assert found[1].tolist() == [-1, 0, 0]
    after = memory.mix(states, mask, words, model)[1, 0]
    alone = by_hand(Cache(theta=1.0), [states[1, 0]] * 2, [words[1, 0].item()] * 2, [-1, -1])
    assert after.item() == pytest.approx(alone[1])


def test_probabilities_of_all_words_sum_to_one() -> None:
    states, past = torch.randn(1, 6, 4).double(), torch.randint(WORDS, (1, 5))
    model = torch.randn(WORDS).double().log_softmax(0)
    total = 0.0
    for word in range(WORDS):
        words = torch.cat([past, torch.tensor([[word]])], dim=1)
        found = Memory(Cache()).mix(states, words >= 0, words, model[words])
        total += found[0, -1].exp().item()
    assert total == pytest.approx(1)

"""The hidden Markov model against sums over all label sequences, and counts by hand."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch

from mtl.layers import HMM

K, V = 2, 3
WORDS = torch.tensor([[0, 1, 2], [2, 0, 0]])
MASK = torch.tensor([[True, True, True], [True, True, False]])


def model(**options: float) -> HMM:
    return HMM(K, V, generator=torch.Generator().manual_seed(1), **options)


def joint(hmm: HMM, words: list[int]) -> dict[tuple[int, ...], float]:
    """The probability of the words with each label sequence, by the formula of the docstring."""
    found = {}
    for path in product(range(K), repeat=len(words)):
        total = hmm.start[path[0]] + hmm.end[path[-1]]
        total = total + sum(hmm.emissions[k, w] for k, w in zip(path, words, strict=True))
        total = total + sum(hmm.transitions[i, j] for i, j in pairwise(path))
        found[path] = math.exp(total)
    return found


def test_probabilities_are_sums_over_label_sequences() -> None:
    hmm = model()
    likelihood, marginals = hmm.log_likelihood(WORDS, MASK), hmm.marginals(WORDS, MASK)
    for row, words in enumerate(([0, 1, 2], [2, 0])):
        own = joint(hmm, words)
        assert likelihood[row].exp().item() == pytest.approx(sum(own.values()))
        best = hmm.decode(WORDS, MASK)[row, : len(words)].tolist()
        assert tuple(best) == max(own, key=own.__getitem__)
        for t, k in product(range(len(words)), range(K)):
            share = sum(p for path, p in own.items() if path[t] == k) / sum(own.values())
            assert marginals[row, t, k].item() == pytest.approx(share)


def test_steps_from_a_label_have_probability_one() -> None:
    hmm = model()
    assert (hmm.transitions.exp().sum(1) + hmm.end.exp()).tolist() == pytest.approx([1, 1])
    assert hmm.start.exp().sum().item() == pytest.approx(1)
    assert hmm.emissions.exp().sum(1).tolist() == pytest.approx([1, 1])


def test_labelled_sentences_are_counted() -> None:
    hmm = model(smoothing=1e-9)
    hmm.count(WORDS, torch.tensor([[0, 1, 1], [1, 0, 0]]), MASK)
    # Labels: 0 1 1 | 1 0, words: 0 1 2 | 2 0, and the last token is padding.
    assert hmm.start.exp().tolist() == pytest.approx([1 / 2, 1 / 2])
    assert hmm.transitions.exp().tolist() == [
        pytest.approx([0, 1 / 2], abs=1e-6),
        pytest.approx([1 / 3, 1 / 3], abs=1e-6),
    ]
    assert hmm.end.exp().tolist() == pytest.approx([1 / 2, 1 / 3])
    assert hmm.emissions.exp().tolist() == [
        pytest.approx([1, 0, 0], abs=1e-6),
        pytest.approx([0, 1 / 3, 2 / 3], abs=1e-6),
    ]


def test_a_step_of_em_sets_expected_frequencies_and_never_lowers_the_likelihood() -> None:
    hmm = model(smoothing=1e-9)
    counts = torch.zeros(K, V)
    for words in ([0, 1, 2], [2, 0]):
        own = joint(hmm, words)
        for path, p in own.items():
            for k, w in zip(path, words, strict=True):
                counts[k, w] += p / sum(own.values())
    likelihoods = hmm.fit(WORDS, MASK)
    expected = counts / counts.sum(1, keepdim=True)
    torch.testing.assert_close(hmm.emissions.exp().float(), expected)
    likelihoods += hmm.fit(WORDS, MASK, steps=20)
    assert all(b >= a - 1e-9 for a, b in pairwise(likelihoods))
    assert likelihoods[-1] > likelihoods[0] + 0.1


def test_unlabelled_text_recovers_hidden_classes() -> None:
    torch.manual_seed(3)
    # Words 0 and 1 alternate with words 2 and 3.
    words = torch.stack([torch.randint(2, (200,)) + 2 * (t % 2) for t in range(8)], dim=1)
    mask = torch.ones_like(words, dtype=torch.bool)
    hmm = HMM(2, 4, generator=torch.Generator().manual_seed(0))
    hmm.fit(words, mask, steps=40)
    found = hmm.decode(words, mask)
    first, second = found[0, :2].tolist()
    assert first != second
    assert torch.equal(found, torch.tensor([first, second] * 4).expand(200, -1))


def test_arguments_out_of_range_are_errors() -> None:
    with pytest.raises(ValueError, match="expected positive numbers"):
        HMM(0, 3)
    with pytest.raises(ValueError, match="words"):
        model().decode(WORDS + 3, MASK)

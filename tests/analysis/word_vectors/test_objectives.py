"""The losses of the methods, against the formulas of the papers, written as loops in float64."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log, tanh
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.analysis.word_vectors import ContinuousBag, GloVe, NeuralModel, Ranking, SkipGram
from mtl.analysis.word_vectors.base import VectorObjective
from mtl.analysis.word_vectors.cooccurrence import count_pairs
from mtl.analysis.word_vectors.negative_sampling import WindowObjective
from mtl.analysis.word_vectors.ngrams import NgramTable
from mtl.analysis.word_vectors.windows import blocks, neighbours
from mtl.errors import OptionError
from tests.analysis.word_vectors.texts import TEXT

NOISE = torch.tensor([0, 3, 3, 5, 1])


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def drawn(method: Any) -> Any:
    """An objective in float64 with random parameters."""
    objective: VectorObjective = method.objective(
        TEXT, 4, torch.Generator().manual_seed(0)
    ).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in objective.parameters():
        parameter.data.normal_(generator=generator)
    return objective


def near(x: float) -> float:
    """−log σ(x)."""
    return log(1 + exp(-x))


def windows(reach: int) -> list[tuple[int, list[int]]]:
    """Each word of the text and its window."""
    numbers = range(len(TEXT.ids))
    return [
        (int(TEXT.ids[i]), [int(TEXT.ids[j]) for j in numbers if _within(i, j, reach)])
        for i in numbers
    ]


def _within(i: int, j: int, reach: int) -> bool:
    return 0 < abs(i - j) <= reach and bool(TEXT.lines[i] == TEXT.lines[j])


def of_windows(objective: WindowObjective, reach: int) -> float:
    ids, lines = blocks(TEXT, 32, objective.options.window)
    pairs = neighbours(lines, torch.full((len(ids), 32), reach), objective.options.window)
    return float(objective.loss_of(ids.clamp(min=0).long(), pairs, NOISE))


@pytest.mark.parametrize("reach", [1, 2])
def test_skip_gram_tells_pairs_from_noise(reach: int) -> None:
    objective = drawn(SkipGram(window=2, negatives=3))
    v, u = objective.vectors(), objective.outputs.weight
    expected = 0.0
    for word, window in windows(reach):
        for context in window:
            noise = sum(near(-float(v[word] @ u[n])) for n in NOISE) / len(NOISE)
            expected += near(float(v[word] @ u[context])) + 3 * noise
    assert of_windows(objective, reach) == pytest.approx(expected)


@pytest.mark.parametrize("reach", [1, 2])
def test_the_mean_of_a_window_predicts_its_middle(reach: int) -> None:
    objective = drawn(ContinuousBag(window=2, negatives=3))
    v, u = objective.vectors(), objective.outputs.weight
    expected = 0.0
    for word, window in windows(reach):
        if window:
            mean = v[window].mean(0)
            noise = sum(near(-float(mean @ u[n])) for n in NOISE) / len(NOISE)
            expected += near(float(mean @ u[word])) + 3 * noise
    assert of_windows(objective, reach) == pytest.approx(expected)


def test_noise_is_drawn_by_smoothed_counts() -> None:
    objective = drawn(SkipGram(smoothing=0.5))
    np.testing.assert_allclose(objective.noise, TEXT.counts**0.5)


def padded(objective: Any, place: int, before: int, after: int) -> list[Tensor]:
    """The vectors around a word of the text; positions outside of the sentence have the last."""
    places = range(place - before, place + after + 1)
    inside = [0 <= i < len(TEXT.ids) and TEXT.lines[i] == TEXT.lines[place] for i in places]
    rows = [int(TEXT.ids[i]) if ok else -1 for i, ok in zip(places, inside, strict=True)]
    return [objective.table.weight[row] for row in rows]


def test_a_window_ranks_above_one_with_a_wrong_word() -> None:
    objective = drawn(Ranking(window=2, hidden_size=3))
    ids, lines = blocks(TEXT, 32, 2)
    wrong = torch.arange(32).expand(len(ids), 32) % len(TEXT.words)

    def score(vectors: list[Tensor]) -> float:
        hidden = objective.hidden.weight @ torch.cat(vectors) + objective.hidden.bias
        return float(objective.score.weight[0] @ hidden.clamp(-1, 1))

    expected = 0.0
    for place in range(len(TEXT.ids)):
        right = padded(objective, place, 2, 2)
        other = [*right[:2], objective.table.weight[int(wrong.flatten()[place])], *right[3:]]
        expected += max(0.0, 1 - score(right) + score(other))
    assert float(objective.loss_of(ids, lines, wrong)) == pytest.approx(expected)
    assert expected > 1


def test_the_words_before_predict_the_next() -> None:
    objective = drawn(NeuralModel(context=3, hidden_size=5))
    batch = blocks(TEXT, 32, 3)
    output = objective.output.output
    expected = 0.0
    for place, word in enumerate(TEXT.ids):
        x = torch.cat(padded(objective, place, 3, -1))
        hidden = objective.hidden.weight @ x + objective.hidden.bias
        states = torch.tensor([tanh(float(value)) for value in hidden], dtype=torch.double)
        expected -= float((output.weight @ states + output.bias).log_softmax(0)[int(word)])
    assert float(objective.loss(batch, torch.Generator())) == pytest.approx(expected)


@pytest.mark.parametrize("add_contexts", [False, True])
def test_products_fit_the_logarithms_of_counts(add_contexts: bool) -> None:
    objective = drawn(GloVe(window=3, x_max=1.0, alpha=0.5, add_contexts=add_contexts))
    w, c = objective.words.weight, objective.contexts.weight
    pairs = count_pairs(TEXT, [1, 1 / 2, 1 / 3])
    expected = 0.0
    for i, j, x in zip(*pairs, strict=True):
        fit = w[i] @ c[j] + objective.word_bias.weight[i] + objective.context_bias.weight[j]
        expected += min(1.0, x) ** 0.5 * (float(fit) - log(x)) ** 2
    examples = objective.examples(np.random.default_rng(0))
    assert float(objective.loss(examples, torch.Generator())) == pytest.approx(expected)
    assert torch.equal(objective.vectors(), w + c if add_contexts else w)


def test_a_vector_is_the_mean_of_the_word_and_its_shared_ngrams() -> None:
    words = ["walk", "walked", "talk", "ox"]
    table = NgramTable(words, (3, 4), 5, torch.Generator().manual_seed(0))
    # "talk" has alk, lk> and alk> too; "walked" has <wa, wal, alk, <wal and walk.
    assert table.lengths.tolist() == [1 + 7, 1 + 5, 1 + 3, 1]
    ids = torch.tensor([[1, 3], [1, 0]])
    found = table(ids)
    ends = table.lengths.cumsum(0).tolist()
    for place, word in [((0, 0), 1), ((0, 1), 3), ((1, 0), 1), ((1, 1), 0)]:
        rows = table.rows[ends[word] - table.lengths[word] : ends[word]]
        torch.testing.assert_close(found[place], table.table.weight[rows].mean(0))


def test_ngrams_take_part_in_the_loss() -> None:
    objective = drawn(SkipGram(window=2, ngrams=[2, 3]))
    v, u = objective.vectors(), objective.outputs.weight
    pairs = [(word, context) for word, window in windows(1) for context in window]
    expected = sum(
        near(float(v[word] @ u[context]))
        + sum(near(-float(v[word] @ u[n])) for n in NOISE) * 5 / len(NOISE)
        for word, context in pairs
    )
    assert of_windows(objective, 1) == pytest.approx(expected)


@pytest.mark.parametrize("ngrams", [[3], [4, 3], [1, 2, 3]])
def test_ngrams_have_a_least_and_a_greatest_length(ngrams: list[int]) -> None:
    with pytest.raises(OptionError, match=r"such as \[3, 6\], got"):
        SkipGram(ngrams=ngrams)

"""The choice of sentences to label next."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.analysis.suggest.selection import CANDIDATES, choose
from mtl.analysis.suggest.suggest import suggest
from mtl.analysis.suggest.uncertainty import uncertainties
from mtl.errors import MtlError
from mtl.heads import LabelSet, PoolClassifier, SoftmaxTagger
from mtl.inference.inputs import Sentence
from mtl.targets import LabelSetTarget, TokenSetTarget
from tests.inference.untrained import text, untrained
from tests.training.runs import prepared

NUMBERS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(NUMBERS, st.integers(1, 12))
def test_without_vectors_the_most_uncertain_are_chosen(numbers: list[float], count: int) -> None:
    chosen = choose(np.array(numbers), None, count)
    rest = [own for place, own in enumerate(numbers) if place not in chosen]
    assert len(chosen) == len(set(chosen)) == min(count, len(numbers))
    assert min(numbers[place] for place in chosen) >= max(rest, default=0)


@given(NUMBERS, st.integers(1, 4), st.integers(0, 99))
def test_each_choice_has_the_largest_product(numbers: list[float], count: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(numbers), 3)).astype(np.float32)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = choose(np.array(numbers), vectors, count)
    for place, own in enumerate(chosen):
        before = chosen[:place]

        def product(row: int, before: list[int] = before) -> float:
            near = [max(0.0, 1 - float(units[row] @ units[other])) for other in before]
            return numbers[row] * min([1.0, *near])

        rest = [row for row in range(len(numbers)) if row not in before]
        assert product(own) >= max(map(product, rest)) - 1e-5


def test_equal_sentences_are_not_chosen_twice() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert choose(np.array([0.9, 0.9, 0.1]), vectors, 2) == [0, 2]


def test_equal_products_keep_the_order_of_the_sentences() -> None:
    vectors = np.array([[0, 1, -1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=np.float32)
    # After the second sentence, the products are 1/4 · 1 and 1/2 · 1/2.
    assert choose(np.array([0.25, 1.0, 0.5]), vectors, 2) == [1, 0]


def test_a_sentence_without_uncertainty_is_chosen_once() -> None:
    assert choose(np.zeros(3), np.ones((3, 2), dtype=np.float32), 3) == [0, 1, 2]


def test_only_the_most_uncertain_sentences_are_candidates() -> None:
    size = CANDIDATES + 1
    uncertainty = np.full(size, 0.9)
    uncertainty[0] = 0.1
    vectors = np.ones((size, 2), dtype=np.float32)
    vectors[0] = [1, -1]
    assert choose(uncertainty, vectors, 1) == [1]


@pytest.mark.parametrize("task", ["pos", "verb", "ner"])
def test_uncertainty_is_the_normalised_entropy(tmp_path: Path, task: str) -> None:
    from mtl.inference.probabilities import probabilities

    experiment, _ = prepared(tmp_path, {task: {"use": f"c/{task}"}})
    sentences = [Sentence.from_words(["the", "cat", "sat"]), Sentence.from_words(["Ada"])]
    labels, found = probabilities(experiment.predictor, sentences, task)
    entropy = uncertainties(experiment.predictor, sentences, task, "entropy")
    confidence = uncertainties(experiment.predictor, sentences, task, "confidence")
    for row, own in enumerate(map(np.atleast_2d, found)):
        nats = [-sum(p * math.log(p) for p in token if p) for token in own.tolist()]
        assert entropy[row] == pytest.approx(np.mean(nats) / math.log(len(labels)))
        rest = np.mean([1 - max(token) for token in own.tolist()])
        assert confidence[row] == pytest.approx(rest * len(labels) / (len(labels) - 1))
    assert ((entropy >= 0) & (entropy <= 1 + 1e-9)).all()


HEADS = {
    "set": lambda: PoolClassifier(6, LabelSet("xyz")),
    "traits": lambda: SoftmaxTagger(6, LabelSet("xyz")),
}
TARGETS = {"set": LabelSetTarget("xyz"), "traits": TokenSetTarget("xyz")}


def test_the_uncertainty_of_a_set_is_the_mean_over_its_labels() -> None:
    predictor = untrained(HEADS, TARGETS, schemes={})
    sentences = [Sentence(text(4)), Sentence(text(2, 1))]
    found = [own["set"].confidence for own in predictor.run(sentences, ["set"], confidence=True)]
    entropy = uncertainties(predictor, sentences, "set", "entropy")
    confidence = uncertainties(predictor, sentences, "set", "confidence")
    for row, own in enumerate(found):
        bits = [-p * math.log2(p) - (1 - p) * math.log2(1 - p) for p in own.values()]
        assert entropy[row] == pytest.approx(np.mean(bits))
        assert confidence[row] == pytest.approx(np.mean([2 * min(p, 1 - p) for p in own.values()]))


def test_tasks_without_probabilities_of_labels_are_an_error() -> None:
    predictor = untrained(HEADS, TARGETS, schemes={})
    with pytest.raises(
        MtlError, match=r"task 'traits': it has .*, without probabilities of labels"
    ):
        uncertainties(predictor, [Sentence(text(2))], "traits", "entropy")


def test_a_number_below_one_is_refused() -> None:
    model: Any = None  # not read
    with pytest.raises(MtlError, match="number: expected a whole number of at least 1, got 0"):
        suggest(model, [Sentence(text(2))], 0)

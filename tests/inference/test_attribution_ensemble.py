"""Weights of words for answers of ensembles, against one model, differences and members."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mtl.errors import MtlError
from mtl.heads import CRFTagger
from mtl.inference.attribution import explain
from mtl.inference.explanation import Attribution
from mtl.inference.inputs import Sentence
from tests.inference.test_ensemble import TAGS, TASKS, joined, member, text

METHODS = ["gradient", "occlusion", "integrated"]
SENTENCE = text(6)


def explained(found: Any, task: str, method: str, example: Any = SENTENCE) -> list[Attribution]:
    predictions = found.run([Sentence(example)], [task], confidence=True)
    (own,) = explain(found, predictions, [task], (), method, steps=64)
    return list(own[task])


@pytest.fixture(scope="module")
def ensemble() -> Any:
    return joined(member(1), member(2, "abcde", size=2))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("task", TASKS)
def test_equal_members_have_the_weights_of_the_model(task: str) -> None:
    one = member(3)
    twice = joined(member(3), member(3))
    for method in METHODS:
        expected = explained(one, task, method)
        assert expected or task in ("rule", "ner", "strict", "set", "token_set")
        for own, other in zip(explained(twice, task, method), expected, strict=True):
            assert (own.answer, own.tokens) == (other.answer, other.tokens)
            assert own.score == pytest.approx(other.score, rel=1e-6, abs=1e-7)
            assert own.weights == pytest.approx(other.weights, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("task", TASKS)
def test_integrated_gradients_are_complete(ensemble: Any, task: str) -> None:
    for answer in explained(ensemble, task, "integrated"):
        total = sum(answer.weights)
        assert answer.gap == pytest.approx(total - (answer.score - answer.baseline), abs=1e-12)
        # The heads `pool` take maxima, whose kinks the quadrature does not know.
        assert abs(answer.gap) < (0.2 if task in ("set", "number", "soft") else 1e-4) * max(
            1, abs(answer.score - answer.baseline)
        )


def test_the_score_is_the_log_odds_of_the_mean_probability(ensemble: Any) -> None:
    (own,) = explained(ensemble, "kind", "occlusion")
    items = [Sentence(SENTENCE)]
    rows = []
    for one in ensemble.members:
        (found,) = one.run(items, ["kind"], logits=True)
        rows.append(found["kind"].logits.double().softmax(0))
    mean = torch.stack(rows).mean(0)
    p = float(mean[one.targets["kind"].labels.index(own.answer)])
    assert own.score == pytest.approx(math.log(p / (1 - p)), rel=1e-5)


def test_the_gradient_of_a_mean_number_is_the_mean_of_the_gradients(ensemble: Any) -> None:
    (own,) = explained(ensemble, "number", "gradient")
    members = [explained(one, "number", "gradient")[0].weights for one in ensemble.members]
    mean = [sum(pair) / 2 for pair in zip(*members, strict=True)]
    assert own.weights == pytest.approx(mean, rel=1e-9)


def test_a_task_of_one_member_has_its_weights() -> None:
    first, second = member(1), member(2)
    found = joined(first, second, users={"kind": [1]})
    (own,) = explained(found, "kind", "gradient")
    (other,) = explained(second, "kind", "gradient")
    assert own.weights == pytest.approx(other.weights, rel=1e-9)


def test_mixed_heads_have_no_gradient_but_can_be_occluded() -> None:
    mixed = joined(member(1), member(2, other={"rule": CRFTagger(6, TAGS)}))
    example = next(
        own for own in map(text, range(3, 12)) if explained(mixed, "rule", "occlusion", own)
    )
    for method in ("gradient", "integrated"):
        with pytest.raises(MtlError, match="marginals of a CRF among them have no gradient"):
            explained(mixed, "rule", method, example)

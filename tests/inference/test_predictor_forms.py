"""Sets of labels and numbers for texts of any length."""

from __future__ import annotations

import pytest
import torch

from mtl.data.windows import windows
from mtl.heads import LabelSet, Number, PoolClassifier
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.targets import LabelSetTarget, NumberTarget
from mtl.text.example import Example
from tests.inference.untrained import text, untrained

LABELS = {"set": LabelSetTarget("pqr"), "number": NumberTarget(50.0, 10.0)}
TASKS = list(LABELS)


HEADS = {
    "set": lambda: PoolClassifier(6, LabelSet("pqr")),
    "number": lambda: PoolClassifier(6, Number(50.0, 10.0), pooling="mean"),
}


def predictor(max_length: int = 100) -> Predictor:
    return untrained(HEADS, LABELS, schemes={}, max_length=max_length)


def test_a_long_text_gets_the_mean_number_of_its_windows() -> None:
    example, found = text(40), predictor(max_length=9)
    alone = [Example(example.tokens[w.start : w.end]) for w in windows(40, 9, 4)]
    numbers = [own["number"] for own in found.predict(alone, ["number"])]
    expected = pytest.approx(sum(numbers) / len(numbers), rel=1e-5)
    assert found.predict([example], ["number"]) == [{"number": expected}]


def test_a_long_text_gets_labels_with_mean_score_above_threshold() -> None:
    example, found = text(40), predictor(max_length=9)
    alone = [Example(example.tokens[w.start : w.end]) for w in windows(40, 9, 4)]
    stream = found.run(map(Sentence, alone), ["set"], logits=True)
    probabilities = torch.stack([p["set"].logits for p in stream]).mean(0).sigmoid()
    expected = frozenset(label for label, p in zip("pqr", probabilities, strict=True) if p > 0.5)
    assert found.predict([example], ["set"]) == [{"set": expected}]


def test_neighbours_change_nothing() -> None:
    texts = [text(5), text(0), text(1), text(60)]
    together = predictor(max_length=20).predict(texts, TASKS)
    for example, own in zip(texts, together, strict=True):
        (alone,) = predictor(max_length=20).predict([example], TASKS)
        assert alone == {"set": own["set"], "number": pytest.approx(own["number"], rel=1e-5)}


def test_a_text_without_tokens_gets_a_prediction() -> None:
    found = predictor()
    torch.nn.init.zeros_(found.model.head("number").output.bias)
    (own,) = found.predict([text(0)], TASKS)
    assert own["number"] == 50
    assert own["set"] <= frozenset("pqr")

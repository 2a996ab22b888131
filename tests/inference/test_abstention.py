"""Answers below a threshold are left out."""

from __future__ import annotations

from typing import Any

import pytest

from mtl.inference.abstention import Coverage, abstain
from mtl.inference.inputs import Sentence
from mtl.inference.prediction import Prediction
from mtl.inference.task_prediction import TaskPrediction
from mtl.targets import (
    LabelSetTarget,
    NumberTarget,
    PartialLabelTarget,
    SentenceLabelTarget,
    Target,
    TokenLabelTarget,
    TokenSetTarget,
)
from mtl.text.example import Example
from mtl.text.spans import FoundSpan, Span

WORDS = ("Ann", "Smith", "left", "Rome")


def predicted(
    target: Target, own: TaskPrediction, words: tuple[str, ...] = WORDS, **options: Any
) -> Prediction:
    schemes = {"task": "bio" if own.spans is not None else None}
    made = Prediction(Sentence(Example(words)), {"task": own}, {"task": target}, schemes)
    return abstain(made, 0.8, confidence=options.get("confidence", False))


def counted(prediction: Prediction) -> list[str]:
    coverage = Coverage()
    coverage.add(prediction)
    return list(coverage.lines())


@pytest.mark.parametrize("target", [TokenLabelTarget("NV"), PartialLabelTarget("NV")])
def test_labels_of_tokens(target: Target) -> None:
    own = TaskPrediction(("N", "N", "V", "N"), (0.8, 0.79, 1.0, 0.1))
    found = predicted(target, own)
    assert found.labels == {"task": ["N", None, "V", None]}
    assert found.columns("task") == {"task": ["N", "_", "V", "_"]}
    assert found.to_dict()["task"] == ["N", None, "V", None]
    assert counted(found) == ["coverage: task: 2 of 4 words (50.0 %)"]


def test_a_span_is_left_out_as_a_whole_by_its_joint_probability() -> None:
    spans = (FoundSpan(Span("PER", 0, 2), 0.7), FoundSpan(Span("LOC", 3, 4), 0.9))
    own = TaskPrediction(("B-PER", "I-PER", "O", "B-LOC"), (0.9, 0.85, 0.6, 0.9), spans)
    found = predicted(TokenLabelTarget(["O", "B-PER"]), own)
    assert found.labels == {"task": [None, None, None, "B-LOC"]}
    assert [(s.type, s.tokens, s.confidence) for s in found.spans["task"]] == [
        ("LOC", (3, 4), None)
    ]
    assert counted(found) == ["coverage: task: 1 of 2 spans (50.0 %)"]
    sure = predicted(TokenLabelTarget(["O", "B-PER"]), own, confidence=True)
    assert [span.confidence for span in sure.spans["task"]] == [0.9]
    assert sure.confidence == {"task": (0.9, 0.85, 0.6, 0.9)}


def test_the_label_of_a_sentence() -> None:
    for probability, label in ((0.9, "p"), (0.7, None)):
        found = predicted(SentenceLabelTarget("pq"), TaskPrediction("p", probability))
        assert found.labels == {"task": label}
        assert found.lacks_label("task") == (label is None)
        assert found.described("task") == (label or "_")
    assert counted(found) == ["coverage: task: 0 of 1 texts (0.0 %)"]


def test_a_set_has_the_probability_of_all_its_labels_and_no_others() -> None:
    for outside, labels in ((0.05, ["x"]), (0.2, None)):
        own = TaskPrediction(frozenset("x"), {"x": 0.9, "y": outside})
        assert predicted(LabelSetTarget("xy"), own).labels == {"task": labels}


def test_sets_of_tokens() -> None:
    values = (frozenset("x"), frozenset(), frozenset("x"), frozenset())
    own = TaskPrediction(values, ({"x": 0.9}, {"x": 0.1}, {"x": 0.6}, {"x": 0.4}))
    found = predicted(TokenSetTarget("x"), own)
    assert found.labels == {"task": [["x"], [], None, None]}


def test_numbers_are_never_left_out() -> None:
    found = predicted(NumberTarget(0.0, 1.0), TaskPrediction(3.0))
    assert found.labels == {"task": 3.0}
    assert counted(found) == ["coverage: task: 1 of 1 texts (100.0 %)"]


def test_a_text_without_words_does_not_count() -> None:
    found = predicted(SentenceLabelTarget("pq"), TaskPrediction("p", 0.1), ())
    assert found.lacks_label("task")
    assert counted(found) == []


def test_counts_of_parts_add_up() -> None:
    parts = [Coverage(), Coverage()]
    for probability, part in zip((0.9, 0.1), parts, strict=True):
        part.add(predicted(SentenceLabelTarget("pq"), TaskPrediction("p", probability)))
    parts[0].merge(parts[1])
    assert list(parts[0].lines()) == ["coverage: task: 1 of 2 texts (50.0 %)"]

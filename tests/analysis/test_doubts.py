"""Doubts about labels, sets and spans, against formulas and enumeration."""

from __future__ import annotations

import math
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.analysis.audit.doubts import sentence_doubts, set_doubts, suspicion, token_doubts
from mtl.analysis.audit.issues import Change
from mtl.analysis.audit.spans import FixedLabels, clusters, joint_log_probs, span_doubts
from mtl.text.example import Example
from mtl.text.spans import Span, read_spans
from tests.training.runs import prepared

LABELS = ["a", "b", "c"]
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.3, 0.3, 0.4]])


def test_a_label_is_doubted_if_another_one_is_more_probable() -> None:
    found = list(token_doubts(LABELS, PROBABILITIES, ["a", "c", None]))
    (doubt,) = found
    assert (doubt.given, doubt.suggested, doubt.start, doubt.end) == ("c", "b", 1, 2)
    assert doubt.given_probability == pytest.approx(0.05)
    assert doubt.suggested_probability == pytest.approx(0.9)
    assert doubt.score == pytest.approx(math.sqrt(0.05 * 0.1))
    assert doubt.changes == (Change(1, "c", "b"),)


def test_an_unknown_label_has_probability_zero() -> None:
    (doubt,) = token_doubts(LABELS, PROBABILITIES[:1], ["z"])
    assert (doubt.score, doubt.given_probability, doubt.suggested) == (0.0, 0.0, "a")


def test_the_label_of_a_sentence_has_no_token() -> None:
    (doubt,) = sentence_doubts(LABELS, PROBABILITIES[0], "b")
    assert (doubt.start, doubt.end, doubt.changes) == (None, None, (Change(None, "b", "a"),))
    assert not list(sentence_doubts(LABELS, PROBABILITIES[0], "a"))


def test_scores_of_nearly_certain_suggestions_differ() -> None:
    rows = np.array([[1.0, 1e-20], [1.0, 1e-19]])
    first, second = token_doubts(["a", "b"], rows, ["b", "b"])
    assert 0 < first.score < second.score
    (doubt,) = token_doubts(LABELS, np.array([[1.0, 1e-20, 1e-18]]), ["b"])
    assert doubt.score == pytest.approx(1e-19, rel=0.01, abs=0)


def test_probabilities_of_several_tokens_count_as_their_mean_per_token() -> None:
    assert suspicion(0.008, 0.5, 3) == pytest.approx(math.sqrt(0.2 * 0.5))


@given(*[st.floats(0, 1)] * 3)
def test_suspicion_falls_with_the_probability_of_the_suggestion(
    given_one: float, low: float, high: float
) -> None:
    low, high = sorted([low, high])
    assert suspicion(given_one, low) <= suspicion(given_one, high)
    assert suspicion(given_one, low) <= suspicion(given_one, low, 2)
    assert 0 <= suspicion(given_one, high) <= 1


def test_a_set_is_as_probable_as_its_least_probable_difference() -> None:
    probabilities = {"x": 0.9, "y": 0.2, "z": 0.6}
    (doubt,) = set_doubts(probabilities, {"y", "z"}, {"x", "z"})
    assert doubt.given_probability == pytest.approx(min(1 - 0.9, 0.2))
    assert doubt.changes == (Change(None, ["y", "z"], ["x", "z"]),)
    assert not list(set_doubts(probabilities, {"x"}, {"x"}))
    (unknown,) = set_doubts(probabilities, {"new"}, set())
    assert (unknown.score, unknown.suggested) == (0.0, "–")


@pytest.mark.parametrize(
    ("given_spans", "predicted", "kind"),
    [
        ([], [Span("A", 0, 1)], "missing"),
        ([Span("A", 0, 1)], [], "extra"),
        ([Span("A", 0, 2)], [Span("B", 0, 2)], "type"),
        ([Span("A", 0, 2)], [Span("A", 1, 2)], "boundaries"),
        ([Span("A", 0, 2)], [Span("B", 1, 3)], "several"),
        ([Span("A", 0, 2)], [Span("A", 0, 1), Span("A", 1, 2)], "several"),
    ],
)
def test_kinds_of_span_issues(given_spans: list[Span], predicted: list[Span], kind: str) -> None:
    assert [own.kind for own in clusters(given_spans, predicted)] == [kind]


TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=1, max_size=8)


@given(TAGS, st.data())
def test_clusters_are_disjoint_and_have_all_differences(
    tags: list[str], data: st.DataObject
) -> None:
    other = data.draw(st.lists(st.sampled_from(tags), min_size=len(tags), max_size=len(tags)))
    old, new = read_spans(tags), read_spans(other)
    found = list(clusters(old, new))
    assert {span for own in found for span in own.given} == set(old) - set(new)
    assert {span for own in found for span in own.predicted} == set(new) - set(old)
    assert all(one.end <= two.start for one, two in pairwise(found))
    for own in found:
        spans = own.given + own.predicted
        covered = {place for span in spans for place in range(span.start, span.end)}
        assert covered == set(range(own.start, own.end))


def every_path(experiment: object, task: str, example: Example) -> dict[tuple[int, ...], float]:
    """Return the probability of each label sequence, from the loss of the head."""
    head = experiment.model.head(task)  # type: ignore[attr-defined]
    experiment.model.eval()  # type: ignore[attr-defined]
    batch = experiment.batcher.batch([Example(example.tokens)])  # type: ignore[attr-defined]
    hidden = experiment.model.encode(batch, [task]).hidden[task]  # type: ignore[attr-defined]
    paths = list(product(range(len(head.labels)), repeat=len(example)))
    with torch.no_grad():
        losses = [head.loss(hidden, batch.mask, torch.tensor([path])).item() for path in paths]
    return {path: math.exp(-loss) for path, loss in zip(paths, losses, strict=True)}


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_probabilities_of_spans_are_sums_over_all_paths(tmp_path: Path, head: str) -> None:
    experiment, _ = prepared(
        tmp_path, {"ner": {"use": "c/ner", "head": {"type": head, "scheme": "bio"}}}
    )
    predictor = experiment.predictor
    labels = list(experiment.model.head("ner").labels)
    kind = next(label[2:] for label in labels if label.startswith("B-"))
    begin, inside, outside = (labels.index(own) for own in (f"B-{kind}", f"I-{kind}", "O"))
    example = Example(("the", "cat", "sat"))
    wanted = [
        FixedLabels(0, (begin,), continued=inside),
        FixedLabels(1, (begin, inside)),
        FixedLabels(0, (begin, -1, outside)),
        FixedLabels(1, (outside,), impossible=True),
    ]
    (found,) = joint_log_probs(predictor, [example], "ner", [wanted])
    paths = every_path(experiment, "ner", example)
    expected = [
        sum(p for path, p in paths.items() if path[0] == begin and path[1] != inside),
        sum(p for path, p in paths.items() if path[1:] == (begin, inside)),
        sum(p for path, p in paths.items() if (path[0], path[2]) == (begin, outside)),
        0.0,
    ]
    np.testing.assert_allclose(torch.stack(found).exp(), expected, rtol=1e-4, atol=1e-7)


def test_doubts_about_spans_change_the_tags_to_the_predicted_spans(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, {"ner": {"use": "c/ner"}})
    predictor = experiment.predictor
    tokens = ("the", "cat", "sat", "Ada")
    (predicted,) = predictor.predict([Example(tokens)], ["ner"])
    tags = list(predicted["ner"])
    paths = ["O"] * 4, ["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "B-LOC", "I-LOC", "O"]
    examples = [Example(tokens, {"ner": tuple(given_tags)}) for given_tags in paths]
    for example, found in zip(
        examples, span_doubts(predictor, examples, "ner", "bio"), strict=True
    ):
        given_tags = list(example.labels["ner"])  # type: ignore[arg-type]
        new = given_tags.copy()
        for doubt in found:
            assert doubt.given_probability < doubt.suggested_probability
            for change in doubt.changes:
                assert new[change.token or 0] == change.old
                new[change.token or 0] = str(change.new)
        kept = set(read_spans(given_tags)) | set(read_spans(tags))
        assert set(read_spans(new)) <= kept


def test_tokens_without_a_label_are_not_doubted(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, {"ner": {"use": "c/ner"}})
    example = Example(("the", "cat"), {"ner": (None, None)})
    assert span_doubts(experiment.predictor, [example], "ner", "bio") == [[]]

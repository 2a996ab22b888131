"""The measures of the benchmark of `mtl audit`."""

from __future__ import annotations

import random

import pytest

from benchmarks.audit import Corpus, average_precision, plant_labels, plant_spans, precision


def corpus() -> Corpus:
    return Corpus([["a", "b", "c", "d"]] * 20, [["B-X", "I-X", "O", "B-Y"] for _ in range(20)])


def test_precisions() -> None:
    planted = [{(0, 1)}, {(2, 0), (2, 1)}]
    found = [{(2, 1)}, {(1, 0)}, {(0, 1), (0, 2)}, {(2, 0)}]
    assert precision(found, planted, 2) == 0.5
    assert average_precision(found, planted) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_planted_labels_differ_only_where_they_are_planted() -> None:
    before, changed = corpus(), corpus()
    planted = plant_labels(changed, 0.1, False, random.Random(1))
    places = {place for own in planted for place in own}
    assert len(planted) == len(places) == 8
    for i, (old, new) in enumerate(zip(before.labels, changed.labels, strict=True)):
        assert {(i, j) for j in range(4) if old[j] != new[j]} == {p for p in places if p[0] == i}


def test_planted_spans_differ_only_where_they_are_planted() -> None:
    before, changed = corpus(), corpus()
    planted = plant_spans(changed, 0.2, random.Random(1))
    places = {place for own in planted for place in own}
    assert len(planted) == 8
    for i, (old, new) in enumerate(zip(before.labels, changed.labels, strict=True)):
        differ = {(i, j) for j in range(4) if old[j] != new[j]}
        # A shorter span also changes the letter of the tag beside the lost token.
        assert bool(differ) == any(place[0] == i for place in places)

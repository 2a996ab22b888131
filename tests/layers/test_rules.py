"""Rules on whole sequences, against all sequences one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.layers import CRF, Rules
from mtl.layers.automata import Rule
from mtl.layers.rules import best_paths, n_best_paths, warn_once

LABELS = ["O", "B-X", "S-X", "I-X", "Y"]
MASK = torch.arange(4) < torch.tensor([[4], [1], [3], [0]])


def meant(name: str) -> set[str]:
    """The labels of a name, written out by hand."""
    return {"B-X", "S-X"} if name == "X" else {name}


def obeys(path: Sequence[str], rule: Rule) -> bool:
    """Whether a sequence obeys a rule, by its words."""
    names = {
        key: set().union(*map(meant, [value] if isinstance(value, str) else value))
        for key, value in rule.items()
        if key not in ("at_least", "at_most")
    }
    places = [t for t, label in enumerate(path) if label in names["labels"]]
    if "after" in names:
        return all(any(before in names["after"] for before in path[:t]) for t in places)
    if "with" in names:
        return not places or any(label in names["with"] for label in path)
    return rule.get("at_least", 0) <= len(places) <= rule.get("at_most", math.inf)


name = st.sampled_from(["O", "X", "I-X", "Y"])
names = st.one_of(name, st.lists(name, min_size=1, max_size=2))
rule = st.one_of(
    st.fixed_dictionaries({"labels": names, "at_most": st.integers(1, 3)}),
    st.fixed_dictionaries({"labels": names, "at_least": st.integers(1, 2)}),
    st.just({"labels": "X", "after": "Y"}),
    st.just({"labels": ["Y", "I-X"], "with": "X"}),
    st.just({"labels": "O", "after": ["I-X", "Y"]}),
)


def chain(varying: bool) -> tuple[torch.Tensor, ...]:
    size = len(LABELS)
    shape = (4, 3, size, size) if varying else (size, size)
    ends = torch.randn(2, size).double()
    transitions = torch.randn(shape).double()
    transitions[..., 0, 3] = -math.inf  # as a scheme forbids it
    return torch.randn(4, 4, size).double(), transitions, *ends


def score(scores: tuple[torch.Tensor, ...], row: int, path: Sequence[int]) -> float:
    emissions, transitions, start, end = scores
    total = start[path[0]] + end[path[-1]] + sum(emissions[row, t, k] for t, k in enumerate(path))
    for t in range(1, len(path)):
        own = transitions if transitions.dim() == 2 else transitions[row, t - 1]
        total = total + own[path[t - 1], path[t]]
    return float(total)


@settings(max_examples=25, deadline=None)
@given(st.lists(rule, min_size=1, max_size=3), st.booleans(), st.integers(0, 99))
def test_the_best_paths_are_those_of_all_that_obey(
    rules: list[Rule], varying: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    scores = chain(varying)
    try:
        compiled = Rules(LABELS, rules)
    except ValueError:  # contradictory rules leave nothing to compare, whatever the length
        for length in range(1, 5):
            every = product(LABELS, repeat=length)
            assert not any(all(obeys(path, rule) for rule in rules) for path in every)
        return
    paths, log_probs = n_best_paths(scores, MASK, 3, compiled)
    best = best_paths(scores, MASK, compiled)
    for row, length in enumerate([4, 1, 3]):
        every = {
            path: total
            for path in product(range(len(LABELS)), repeat=length)
            if (total := score(scores, row, path)) > -math.inf
        }
        good = {
            path: total
            for path, total in every.items()
            if all(obeys([LABELS[k] for k in path], rule) for rule in rules)
        }
        ranked = sorted((good or every).items(), key=lambda item: -item[1])
        total = math.log(sum(math.exp(value) for _, value in ranked))
        assert tuple(best[row, :length].tolist()) == ranked[0][0]
        for rank, (path, value) in enumerate(ranked[:3]):
            assert tuple(paths[row, rank, :length].tolist()) == path
            assert log_probs[row, rank].item() == pytest.approx(value - total)
    assert not best[~MASK].any()


def test_a_sentence_without_a_sequence_is_labelled_without_rules_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_once.cache_clear()
    scores = CRF(5).chain(torch.randn(4, 4, 5))
    rules = Rules(LABELS, [{"at_least": 2, "labels": "Y"}])
    paths, _ = (best_paths(scores, MASK, rules) for _ in range(2))  # told once
    assert [record.message for record in caplog.records] == [
        "some sentences have no label sequence that obeys the rules of the head; they are labelled "
        "without the rules"
    ]
    assert torch.equal(paths[1], best_paths(scores, MASK, None)[1])  # a sentence of one token
    assert (paths[0] == LABELS.index("Y")).sum() >= 2


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"at_most": 1}, "expected {at_least: N, at_most: N, labels"),
        ({"labels": ["Y"]}, "got {labels: "),
        ({"labels": "Y", "after": "O", "with": "O"}, "expected {at_least"),
        ({"at_most": -1, "labels": "Y"}, "at_most: expected a number from 0 to 1000, got -1"),
        ({"at_least": 10**9, "labels": "Y"}, "at_least: expected a number from 0 to 1000, got 1"),
        ({"at_most": 1, "labels": []}, "labels: expected a label or a list"),
        ({"at_most": 1, "at_least": 2, "labels": "Y"}, "at_least: expected at most 1, got 2"),
        ({"at_least": 0, "labels": "Y"}, "at_least: 0 is true of every sequence"),
        ({"at_most": 1, "labels": "B-Z"}, "unknown label 'B-Z'; did you mean 'B-X'"),
        ({"labels": "X", "after": ["B-X"]}, "labels and after have a label in common"),
        ({"labels": LABELS[:4], "after": "Y"}, ""),
    ],
)
def test_rules_without_a_meaning_are_errors(rule: Rule, message: str) -> None:
    if not message:
        Rules(LABELS, [rule])
        return
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        Rules(LABELS, [rule])


def test_contradictory_rules_are_an_error() -> None:
    rules = [{"at_least": 2, "labels": "X"}, {"at_most": 1, "labels": "X"}]
    with pytest.raises(ValueError, match="rules: no sequence of labels obeys all rules"):
        Rules(LABELS, rules)


def test_too_many_states_are_an_error() -> None:
    rules = [{"at_most": 40, "labels": name} for name in ("X", "Y")]
    with pytest.raises(ValueError, match="they need more than 2,000 states"):
        Rules(LABELS, rules)


def test_large_batches_are_decoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, rules = chain(varying=True), Rules(LABELS, [{"at_most": 1, "labels": "X"}])
    whole = n_best_paths(scores, MASK, 2, rules)
    monkeypatch.setattr("mtl.layers.rules._MOST_NUMBERS", 1)
    parts = n_best_paths(scores, MASK, 2, rules)
    assert torch.equal(parts[0], whole[0])
    torch.testing.assert_close(parts[1], whole[1])

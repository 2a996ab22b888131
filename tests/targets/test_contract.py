"""The contract of targets: each form is stored, batched, saved and written the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import torch

from mtl.targets import (
    DERIVED,
    FORMS,
    BuildContext,
    Target,
    labelled,
    target_by_name,
    target_from_json,
    target_to_json,
)
from mtl.text.example import Labels
from mtl.text.vocabulary import WordVocabulary

GOLD: dict[str, Sequence[Labels]] = {
    "sentence_label": ["a", "b"],
    "token_labels": [("a", "b"), ("b",)],
    "label_set": [frozenset("ab"), frozenset()],
    "number": [1.5, -2.0],
    "words": [("a", "b"), ("b",)],
    "word_frequency": [("a", "b"), ("b",)],
    "soft_label": [{"a": 0.25, "b": 0.75}, {"b": 1.0}],
    "token_soft_labels": [({"a": 0.5, "b": 0.5}, None), ({"b": 1.0},)],
    "token_sets": [(frozenset("ab"), frozenset()), (None,)],
    "token_numbers": [(1.5, None), (-2.0,)],
    "partial_labels": [(frozenset("a"), frozenset()), (frozenset("b"),)],
}
"""Two gold values per target; where there is one value per token, of two tokens and of one."""
CONTEXT = BuildContext(words=WordVocabulary.build({"a": 2, "b": 1}))
TARGETS = {t.name: t for forms in (*FORMS.values(), *DERIVED.values()) for t in forms}
every = pytest.mark.parametrize("form", TARGETS.values(), ids=TARGETS)


def built(form: type[Target]) -> tuple[Target, Sequence[Labels]]:
    gold = GOLD[form.name]
    return form.build(gold, CONTEXT), gold


@every
def test_a_stored_value_comes_back(form: type[Target]) -> None:
    assert target_by_name(form.name) is form
    for value in GOLD[form.name]:
        strings = form.pack(value)
        assert all(isinstance(string, str) for string in strings)
        assert form.unpack(strings) == value


@every
def test_a_saved_target_comes_back(form: type[Target]) -> None:
    target, gold = built(form)
    again = target_from_json(json.loads(json.dumps(target_to_json(target))))
    assert type(again) is form
    assert again == target
    assert hash(again) == hash(target)
    torch.testing.assert_close(again.tensor(gold, 3), target.tensor(gold, 3), equal_nan=True)


@every
def test_missing_sentences_are_not_labelled(form: type[Target]) -> None:
    target, gold = built(form)
    tensor = target.tensor([gold[0], None], 3)
    known = labelled(tensor)
    assert known.shape == ((2, 3) if form.level == "token" else (2,))
    assert known[0].any()
    assert not known[1].any()
    assert len(tensor) == 2


@every
def test_padding_and_neighbours_change_nothing(form: type[Target]) -> None:
    target, gold = built(form)
    together = target.tensor(gold, 4)
    for row, value in enumerate(gold):
        alone = target.tensor([value], 2)[0]
        if form.level == "token":
            torch.testing.assert_close(together[row, :2], alone, equal_nan=True)
            assert not labelled(together)[row, 2:].any()
        else:
            torch.testing.assert_close(together[row], alone)


@every
def test_values_are_written_as_json_and_as_text(form: type[Target]) -> None:
    target, gold = built(form)
    for value in gold:
        shown = target.comparable(value)
        if shown is not None:
            json.dumps(target.plain(shown), allow_nan=False)
            assert "\n" not in target.text(shown)


@every
def test_names_are_those_of_the_labels(form: type[Target]) -> None:
    target, gold = built(form)
    values = [shown for value in gold if (shown := target.comparable(value)) is not None]
    assert {name for value in values for name in form.names(value)} <= set(target.labels)
    assert not target.unseen(gold)


def test_the_form_of_earlier_versions_is_read() -> None:
    old = {
        "token_labels": {"labels": ["O", "B-X", "I-X"], "level": "token", "scheme": "bio"},
        "sentence_label": {"labels": ["a"], "level": "sentence", "scheme": None},
        "label_set": {"sets": ["a"]},
        "number": {"mean": 1.0, "scale": 2.0},
        "word_frequency": {"bins": {"the": 3}},
        "words": {"words": CONTEXT.words and CONTEXT.words.to_json()},
    }
    for name, data in old.items():
        assert target_from_json(data).name == name


def test_an_unknown_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown form of labels 'tree'"):
        target_from_json({"type": "tree"})

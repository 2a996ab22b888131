"""Augmented copies of sentences: frequencies, tags, and the same copies every time."""

from __future__ import annotations

from collections import Counter

from mtl.data.augmentation import MASKED, Augmenter, TagLexicon

WORDS = [f"w{i}" for i in range(10)]
LEXICON = TagLexicon.read(
    [
        (("a", "b", "run"), ("N", "N", "V")),
        (("a", "run", "x"), ("N", "N", None)),
        (("run", "walk"), ("V", "V")),
        (("unread",), None),
    ]
)


def augmenter(**changes: float) -> Augmenter:
    rules = {"mask": 0.0, "replace": 0.0, "cut": 0.0, **changes}
    return Augmenter(1, int(rules.pop("number", 1)), **rules, lexicon=LEXICON)  # type: ignore[arg-type]


def test_words_are_masked_with_their_probability() -> None:
    (copy, *_) = augmenter(mask=0.3).copies(WORDS * 200)
    assert 0.25 < Counter(copy)[MASKED] / len(copy) < 0.35
    assert [word for word in copy if word != MASKED] == [
        word for word, new in zip(WORDS * 200, copy, strict=True) if new != MASKED
    ]


def test_words_are_replaced_by_words_with_their_most_frequent_tag() -> None:
    (copy, *_) = augmenter(replace=0.99).copies(["a", "run", "x", "unread"] * 500)
    found = [Counter(copy[place::4]) for place in range(4)]
    assert found[0].keys() == {"a", "b"}
    assert found[1].keys() == {"run", "walk"}
    assert found[0]["a"] > found[0]["b"]  # by frequency
    assert found[2].keys() == {"x"}
    assert found[3].keys() == {"unread"}


def test_cuts_are_adjacent_words() -> None:
    sizes = set()
    for copy in augmenter(cut=0.99, number=60).copies(WORDS):
        start = WORDS.index(copy[0])
        assert copy == WORDS[start : start + len(copy)]
        sizes.add(len(copy))
    assert sizes == {1, 2, 3, 4, 5}


def test_copies_are_the_same_every_time_and_changed() -> None:
    rules = augmenter(mask=0.05, number=50)
    copies = list(rules.copies(WORDS))
    assert copies == list(rules.copies(WORDS))
    assert WORDS not in copies
    assert 0 < len(copies) < 50

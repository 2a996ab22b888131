"""Splits and folds by a hash of the sentence."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.splits import cut, fold, sentence_hash

HASHES = st.lists(st.integers(0, 9), min_size=2, max_size=30).map(np.array)


@given(HASHES, st.data())
@settings(max_examples=50)
def test_folds_are_disjoint_and_cover_everything(hashes, data):
    count = data.draw(st.integers(2, len(hashes)))
    folds = [fold(hashes, count, number) for number in range(count)]
    insides = [inside.tolist() for _, inside in folds]
    assert sorted(row for inside in insides for row in inside) == list(range(len(hashes)))
    assert {len(inside) for inside in insides} <= {len(hashes) // count, -(-len(hashes) // count)}
    assert all(sorted([*rest, *inside]) == list(range(len(hashes))) for rest, inside in folds)


@given(HASHES.filter(lambda hashes: len(hashes) > 4))
@settings(max_examples=50)
def test_parts_are_disjoint_and_cover_everything(hashes):
    parts = cut(hashes, {"dev": "30%", "test": 1})
    assert sorted(row for part in parts.values() for row in part) == list(range(len(hashes)))
    assert len(parts["dev"]) == round(0.3 * len(hashes))
    assert len(parts["test"]) == 1


def test_a_sentence_keeps_its_part_when_others_are_added():
    words = [[f"word{n}"] for n in range(1000)]
    hashes = np.array([sentence_hash(w) for w in words])
    before = set(cut(hashes[:990], {"dev": "10%"})["dev"].tolist())
    after = set(cut(hashes, {"dev": "10%"})["dev"].tolist())
    assert len(before & after) >= 97


def test_repeated_sentences_fall_into_one_part():
    hashes = np.array([sentence_hash([f"word{n // 5}"]) for n in range(500)])
    inside = set(hashes[cut(hashes, {"dev": 100})["dev"]])
    assert len(inside) == 20


def test_the_hash_of_a_sentence_is_the_same_everywhere():
    assert sentence_hash(["The", "cat"]) == 7421956608189144279

"""Splits and folds by a hash of the sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.splits import cut, fold, sentence_hash
from mtl.errors import MtlError

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


@given(HASHES.filter(lambda hashes: len(hashes) > 3), st.data())
@settings(max_examples=50)
def test_folds_of_documents_hold_whole_documents(hashes, data):
    documents = np.array([row // 3 for row in range(len(hashes))])
    count = data.draw(st.integers(2, documents.max() + 1))
    seed = data.draw(st.none() | st.integers(0, 5))
    parts = [fold(hashes, count, n, seed=seed, documents=documents)[1] for n in range(count)]
    assert sorted(row for part in parts for row in part.tolist()) == list(range(len(hashes)))
    owners = [set(documents[part].tolist()) for part in parts]
    assert sum(map(len, owners)) == documents.max() + 1
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 3


def test_seeds_change_folds_but_keep_equal_sentences_near():
    hashes = np.array([sentence_hash([f"word{n // 2}"]) for n in range(400)])
    folds = {seed: fold(hashes, 4, 0, seed=seed)[1].tolist() for seed in (None, 0, 1)}
    assert len({tuple(own) for own in folds.values()}) == 3
    assert fold(hashes, 4, 0, seed=1)[1].tolist() == folds[1]
    pairs = [row // 2 for row in folds[1]]
    assert len(set(pairs)) <= len(pairs) / 2 + 1


def test_too_few_documents_are_an_error():
    with pytest.raises(MtlError, match="3 folds need at least 3 documents, found 2; use fewer"):
        fold(np.arange(9), 3, 0, documents=np.arange(9) // 5)

"""Batches of sentences of similar length."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.batching import batches

quick = settings(max_examples=60, deadline=None)
some_lengths = st.lists(st.integers(1, 90), max_size=40)
limits = st.sampled_from(
    [{"max_tokens": 60}, {"max_tokens": 7}, {"sentences": 3}, {"max_tokens": 60, "sentences": 4}]
)


def cut(lengths, epoch=0, seed=1, corpus="c", **options):
    return batches(lengths, seed=seed, corpus=corpus, epoch=epoch, **options)


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@quick
@given(some_lengths, limits, st.integers(0, 3), st.booleans())
def test_every_sentence_is_in_exactly_one_batch(lengths, limit, epoch, shuffle):
    found = cut(lengths, epoch, shuffle=shuffle, **limit)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(len(batch) for batch in found)


@quick
@given(some_lengths, limits, st.integers(0, 3), st.booleans())
def test_no_batch_is_above_its_limits(lengths, limit, epoch, shuffle):
    for batch in cut(lengths, epoch, shuffle=shuffle, **limit):
        padded = len(batch) * max(lengths[i] for i in batch)
        assert len(batch) == 1 or padded <= limit.get("max_tokens", padded)
        assert len(batch) <= limit.get("sentences", len(batch))


@quick
@given(some_lengths, limits)
def test_the_number_of_batches_is_that_of_every_epoch_and_seed(lengths, limit):
    counts = {len(cut(lengths, epoch, seed, **limit)) for epoch in range(3) for seed in (1, 2)}
    assert len(counts) == 1


@quick
@given(some_lengths, limits)
def test_a_batch_ends_only_where_the_next_sentence_would_not_fit(lengths, limit):
    for batch, following in pairwise(cut(lengths, shuffle=False, **limit)):
        sentences, tokens = len(batch) + 1, (len(batch) + 1) * lengths[following[0]]
        assert sentences > limit.get("sentences", 40) or tokens > limit.get("max_tokens", tokens)


def test_sentences_of_similar_length_are_together():
    lengths = np.random.default_rng(0).integers(1, 100, 5000)
    found = cut(lengths, max_tokens=1000)
    padded = sum(len(batch) * lengths[batch].max() for batch in found)
    assert padded / lengths.sum() < 1.10


def test_a_sentence_above_the_limit_is_alone():
    found = cut([5, 200, 5], max_tokens=100)
    assert sorted(sorted(batch.tolist()) for batch in found) == [[0, 2], [1]]


def test_batches_are_a_pure_function_of_seed_corpus_and_epoch():
    lengths = np.random.default_rng(0).integers(1, 30, 200)
    first = cut(lengths, max_tokens=100)
    assert same(first, cut(lengths, max_tokens=100))
    for other in ({"seed": 2}, {"corpus": "d"}, {"epoch": 1}):
        assert not same(first, cut(lengths, max_tokens=100, **other))


def test_another_process_cuts_the_same_batches():
    program = (
        "from mtl.data.batching import batches\n"
        "print(batches([3] * 9, seed=1, corpus='c', epoch=2, sentences=4))"
    )
    options = {"env": os.environ | {"PYTHONHASHSEED": "7"}, "capture_output": True, "text": True}
    printed = subprocess.run([sys.executable, "-c", program], check=True, **options).stdout
    assert printed.strip() == str(cut([3] * 9, epoch=2, sentences=4))


def test_batches_have_other_sentences_in_another_epoch():
    lengths = np.random.default_rng(0).integers(1, 30, 500)
    one, other = ({frozenset(b.tolist()) for b in cut(lengths, e, sentences=10)} for e in (0, 1))
    assert len(one & other) < len(one) / 5


def test_batches_are_not_in_order_of_length():
    means = [np.mean(batch) for batch in cut(np.arange(1, 200), max_tokens=400)]
    assert means != sorted(means)


def test_without_shuffling_sentences_are_in_order_of_length():
    lengths = [3, 1, 2, 3, 1]
    found = cut(lengths, sentences=2, shuffle=False)
    assert [batch.tolist() for batch in found] == [[1, 4], [2, 0], [3]]
    assert same(found, cut(lengths, seed=9, epoch=9, sentences=2, shuffle=False))


def test_limits_are_asked_for():
    with pytest.raises(ValueError, match="expected max_tokens or sentences, got neither"):
        cut([1])
    with pytest.raises(ValueError, match="max_tokens=0"):
        cut([1], max_tokens=0)

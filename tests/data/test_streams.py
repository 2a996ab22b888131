"""Running text in streams: order, chunks, neighbouring words and growth."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.corpus import Split
from mtl.data.encoding import Batcher
from mtl.data.store import SentenceTable
from mtl.data.streams import Streams
from mtl.targets import NextWordTarget
from mtl.text.running import END
from mtl.text.vocabulary import WordVocabulary

BOTH = {"ahead": "next", "back": "previous"}


def made(lengths, streams, bptt, random_bptt=False, seed=1, **growing):
    """Streams of a text in which every word is another, and the words of that text in order."""
    numbers = iter(range(sum(lengths)))
    sentences = [[f"w{next(numbers)}" for _ in range(length)] for length in lengths]
    split = Split(SentenceTable(pa.table({"tokens": sentences})), {})
    text = [word for sentence in sentences for word in (*sentence, END)]
    size = {"streams": streams, "bptt": bptt, "random_bptt": random_bptt, **growing}
    cut = Streams("c", split, seed, BOTH, **size)
    return cut, text


def read(cut, epoch):
    """The words that each stream reads in a pass: rows of (word, next, previous)."""
    rows = [[] for _ in range(cut.streams)]
    for index in range(cut.size):
        for row, piece in zip(rows, cut.examples(epoch, index), strict=True):
            sides = piece.labels["ahead"], piece.labels["back"]
            row += zip(piece.tokens, *sides, strict=True)
    return rows


def piece_lengths(cut, epoch):
    return [len(cut.examples(epoch, index)[0]) for index in range(cut.size)]


TEXTS = st.lists(st.integers(1, 6), min_size=1, max_size=8)


@given(TEXTS, st.integers(1, 9), st.integers(1, 7), st.booleans(), st.integers(0, 3))
def test_every_word_is_read_once_a_pass_in_order(lengths, streams, bptt, vary, epoch):
    cut, text = made(lengths, streams, bptt, vary)
    assert [word for row in read(cut, epoch) for word, _, _ in row] == text


@given(TEXTS, st.integers(1, 9), st.integers(1, 7), st.booleans())
def test_labels_are_neighbours_across_chunks_streams_and_sentences(lengths, streams, bptt, vary):
    cut, text = made(lengths, streams, bptt, vary)
    expected = list(zip(text, [*text[1:], END], [END, *text[:-1]], strict=True))
    assert [word for row in read(cut, 0) for word in row] == expected


@given(TEXTS, st.integers(1, 9), st.integers(1, 7))
def test_streams_are_equally_long_but_for_those_at_the_end(lengths, streams, bptt):
    cut, text = made(lengths, streams, bptt)
    found = [len(row) for row in read(cut, 0)]
    full, rest = divmod(len(text), cut.length)
    assert found == [*[cut.length] * full, rest, *[0] * streams][:streams]


def test_every_pass_has_the_same_pieces_in_another_order():
    cut, _ = made([40] * 50, 2, 20, random_bptt=True)
    passes = [piece_lengths(cut, epoch) for epoch in range(4)]
    assert len({tuple(sorted(lengths)) for lengths in passes}) == 1
    assert len({tuple(lengths) for lengths in passes}) == 4
    assert [piece_lengths(cut, epoch) for epoch in range(4)] == passes


def test_chunk_lengths_vary_and_one_in_twenty_is_half_as_long():
    cut, _ = made([1000] * 200, 1, 70, random_bptt=True)
    lengths = np.array(piece_lengths(cut, 0))
    assert lengths.mean() == pytest.approx(70 * (0.95 + 0.05 / 2), rel=0.02)
    assert np.mean(lengths < 52) == pytest.approx(0.05, abs=0.02)
    assert lengths[lengths >= 52].std() == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize(("bptt", "vary"), list(product([1, 3, 8], [True, False])))
def test_pieces_are_never_empty(bptt, vary):
    cut, _ = made([9] * 40, 3, bptt, vary)
    assert min(piece_lengths(cut, 0)) >= 1


def test_chunks_of_fixed_length_differ_only_in_the_last_one():
    cut, _ = made([10, 10], 1, 8)
    assert sorted(piece_lengths(cut, 0)) == [6, 8, 8]


def test_a_batch_continues_the_last_one_and_scales_the_learning_rate():
    cut, text = made([5, 4, 8], 2, 4)
    words = WordVocabulary.build(dict.fromkeys(text, 1))
    batcher = Batcher({"words": words}, dict.fromkeys(BOTH, NextWordTarget(words)))
    batches = [cut.batch(batcher, 0, index, ["ahead"]) for index in range(cut.size)]
    assert [batch.continues for batch in batches] == [False, True, True]
    assert sorted(batch.lr_factor for batch in batches) == [0.5, 1, 1]
    assert all(list(batch.targets) == ["ahead"] for batch in batches)
    assert all(len(batch.mask) == 2 for batch in batches)


def test_the_seed_decides_the_pieces():
    one, other = (made([50] * 20, 1, 20, True, seed)[0] for seed in (1, 2))
    assert sorted(piece_lengths(one, 0)) != sorted(piece_lengths(other, 0))


@given(TEXTS, st.integers(1, 9), st.integers(1, 30), st.booleans(), st.floats(0, 3))
def test_growing_chunks_read_every_word_in_order(lengths, streams, bptt, vary, growing):
    cut, text = made(lengths, streams, bptt, vary, growing_bptt=growing)
    batches = [cut.examples(epoch, index) for epoch in range(9) for index in range(cut.size)]
    first = [word for pieces in batches for word in pieces[0].tokens]
    stream = text[: cut.length]
    assert first == (stream * (len(first) // len(stream) + 1))[: len(first)]
    assert len(first) > 2 * len(stream)


def test_chunks_grow_linearly_over_the_given_passes():
    cut, _ = made([100] * 20, 2, 40, growing_bptt=2)
    found = [*piece_lengths(cut, 0), *piece_lengths(cut, 1)]
    wanted = [max(5, round(40 * n / (2 * cut.size))) for n in range(1, len(found) + 1)]
    last = np.cumsum(found) % cut.length == 0  # the last chunk is the remainder of the text
    assert cut.size == 26
    assert [n for n, end in zip(found, last, strict=True) if not end] == [
        n for n, end in zip(wanted, last, strict=True) if not end
    ]


def test_growing_chunks_carry_the_state_and_scale_the_learning_rate():
    cut, text = made([30] * 20, 2, 40, growing_bptt=1)
    words = WordVocabulary.build(dict.fromkeys(text, 1))
    batcher = Batcher({"words": words}, dict.fromkeys(BOTH, NextWordTarget(words)))
    found = [length for epoch in range(4) for length in piece_lengths(cut, epoch)]
    batches = [cut.batch(batcher, *divmod(n, cut.size), ["ahead"]) for n in range(len(found))]
    assert [batch.lr_factor for batch in batches] == [length / 40 for length in found]
    firsts = [batch.examples[0].tokens[0] == "w0" for batch in batches]
    assert [not batch.continues for batch in batches] == firsts
    assert sum(firsts) > 2


def test_grown_chunks_equal_those_without_growth():
    plain, growing = (made([50] * 20, 1, 20, True, growing_bptt=n)[0] for n in (0, 1))
    found = [growing.examples(epoch, i) for epoch in range(4) for i in range(growing.size)]
    _, second, *_ = [n for n, pieces in enumerate(found) if pieces[0].tokens[0] == "w0"]
    assert second > growing.size
    assert found[second : second + plain.size] == [plain.examples(0, i) for i in range(plain.size)]

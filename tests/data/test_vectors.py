"""Pretrained word vectors in the formats of GloVe and word2vec."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest

from mtl.data.vectors import read_vectors
from mtl.errors import DataError

GLOVE = "the 0.5 -1 2e-1\ncat 1 2 3\n"


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "vectors.txt"
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return _write


def test_glove_is_read(write):
    words, vectors = read_vectors(write(GLOVE))
    assert words == ["the", "cat"]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[0.5, -1, pytest.approx(0.2)], [1, 2, 3]]


@pytest.mark.parametrize(
    "text",
    [
        "2 3\n" + GLOVE,
        GLOVE.replace("\n", " \n"),
        GLOVE.replace("\n", "\r\n"),
        GLOVE[:-1],
        "\ufeff" + GLOVE,
        GLOVE + "\n",
        GLOVE.replace(" ", "\t"),
        GLOVE.replace("the ", "the\t").replace("cat ", "cat\t"),
        "2\t3\n" + GLOVE,
    ],
)
def test_header_blanks_and_line_ends_change_nothing(write, text):
    words, vectors = read_vectors(write(text))
    assert words == ["the", "cat"]
    assert np.array_equal(vectors, read_vectors(write(GLOVE))[1])


def test_compressed_files_are_unpacked(write, tmp_path):
    packed = tmp_path / "vectors.txt.gz"
    packed.write_bytes(gzip.compress(GLOVE.encode()))
    assert np.array_equal(read_vectors(packed)[1], read_vectors(write(GLOVE))[1])


def test_only_wanted_words_are_kept(write):
    words, vectors = read_vectors(write(GLOVE), wanted={"cat", "dog"}.__contains__)
    assert words == ["cat"]
    assert vectors.tolist() == [[1, 2, 3]]


def test_the_width_is_known_even_when_no_word_is_wanted(write):
    words, vectors = read_vectors(write(GLOVE), wanted=set().__contains__)
    assert words == []
    assert vectors.shape == (0, 3)


def test_words_may_hold_blanks_of_any_kind(write):
    text = "a 1 2\n. . . 3 4\nat name@domain.com 5 6\nno\u00a0break 7 8\nnext\u0085line 9 10\n"
    words, vectors = read_vectors(write(text))
    assert words == ["a", ". . .", "at name@domain.com", "no\u00a0break", "next\u0085line"]
    assert vectors.ravel().tolist() == list(range(1, 11))


def test_a_number_may_be_a_word(write):
    assert read_vectors(write("5 1 2\n6 3 4\n"))[0] == ["5", "6"]


def test_the_first_vector_of_a_word_counts(write):
    words, vectors = read_vectors(write("a 1\nb 2\na 3\n"))
    assert words == ["a", "b"]
    assert vectors.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            GLOVE + "dog 1 2\n",
            ":3",
            "expected a word and 3 values with one blank between them, got 2 values after 'dog'",
        ),
        (GLOVE + "dog 1 2 3 4\n", ":3", "expected a word and 3 values"),
        (GLOVE + "dog 1 two 3\n", ":3", "expected a finite number, got 'two'"),
        (GLOVE + "dog 1 nan 3\n", ":3", "expected a finite number, got 'nan'"),
        ("2 4\n" + GLOVE, ":2", "expected a word and 4 values"),
        (GLOVE + "dog 1 2_0 3\n", ":3", "expected a finite number, got '2_0'"),
        (GLOVE + "dog 1 1e39 3\n", ":3", "expected a number that float32 holds, got 1e39"),
        (GLOVE + "dog 1 -1e999 3\n", ":3", "expected a finite number, got '-1e999'"),
        ("3 3\n" + GLOVE, "", "expected 3 vectors, as in line 1, found 2; download the file again"),
        ("1 3\n" + GLOVE, "", "expected 1 vectors, as in line 1, found 2"),
        ("", "", "expected some vectors, found 0"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write, text, place, message):
    path = write(text)
    with pytest.raises(DataError, match=re.escape(f"{path}{place}: {message}")):
        read_vectors(path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: there is no such file"):
        read_vectors(tmp_path / "none.txt")

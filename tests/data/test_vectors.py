"""Pretrained word vectors in all formats."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from mtl.data.vectors import read_vectors, write_vectors
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


MATRIX = np.array([[1, 2, 3], [4, 5, 6], [-7, 8.5, 9]], np.float32)
NAMES = ["the", "São_Paulo", "cat"]


def word2vec(end=b"\n", header=b"3 3\n"):
    rows = (
        name.encode() + b" " + row.tobytes() + end for name, row in zip(NAMES, MATRIX, strict=True)
    )
    return header + b"".join(rows)


def in_numpy(tmp_path, matrix=MATRIX, words=NAMES):
    np.save(tmp_path / "v.npy", matrix)
    (tmp_path / "v.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return tmp_path / "v.npy"


def in_safetensors(tmp_path, **tensors):
    written = {"vectors": MATRIX, "words": bytes_of("\n".join(NAMES)), **tensors}
    save_file({k: v for k, v in written.items() if v is not None}, tmp_path / "v.safetensors")
    return tmp_path / "v.safetensors"


def bytes_of(text):
    return np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8)


@pytest.fixture(params=["bin", "bin without line ends", "bin.gz", "npy", "float16", "safetensors"])
def packed(request, tmp_path):
    if request.param == "npy":
        return in_numpy(tmp_path)
    if request.param == "float16":
        return in_numpy(tmp_path, MATRIX.astype(np.float16))
    if request.param == "safetensors":
        write_vectors(tmp_path / "v.safetensors", NAMES, MATRIX)
        return tmp_path / "v.safetensors"
    data = word2vec(b"" if "without" in request.param else b"\n")
    name = request.param.split()[0]
    (tmp_path / f"v.{name}").write_bytes(gzip.compress(data) if name == "bin.gz" else data)
    return tmp_path / f"v.{name}"


def test_all_formats_give_the_same_vectors(packed):
    words, vectors = read_vectors(packed)
    assert words == NAMES
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, MATRIX)
    words, vectors = read_vectors(packed, lambda word: word != "the")
    assert words == NAMES[1:]
    assert np.array_equal(vectors, MATRIX[1:])


def test_vec_files_of_fasttext_are_text(tmp_path):
    (tmp_path / "v.vec").write_text("2 3 \n" + GLOVE)
    assert read_vectors(tmp_path / "v.vec")[0] == ["the", "cat"]


def test_the_first_of_two_vectors_of_a_word_is_used_in_all_formats(tmp_path):
    path = in_numpy(tmp_path, words=["a", "b", "a"])
    assert read_vectors(path)[0] == ["a", "b"]
    assert np.array_equal(read_vectors(path)[1], MATRIX[:2])


def test_equal_vectors_make_equal_files(tmp_path):
    for name in ("a", "b"):
        write_vectors(tmp_path / f"{name}.safetensors", NAMES, MATRIX.astype(np.float64))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["v.bin", "v.bin.gz", "v.safetensors", "v.npy"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.98])
def test_truncated_files_are_one_error(tmp_path, name, share):
    in_numpy(tmp_path)
    in_safetensors(tmp_path)
    (tmp_path / "v.bin").write_bytes(word2vec())
    (tmp_path / "v.bin.gz").write_bytes(gzip.compress(word2vec()))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=re.escape(name)):
        read_vectors(tmp_path / name)


NAN = np.where(MATRIX == 5, np.nan, MATRIX)
MISTAKES = {
    "more words": (lambda t: in_numpy(t, words=[*NAMES, "x"]), "has 3 vectors, but there are 4"),
    "numbers": (lambda t: in_numpy(t, np.ones((3, 3), int)), "floating-point numbers, got type"),
    "one row": (lambda t: in_numpy(t, np.ones(3)), "expected a matrix of floating-point numbers"),
    "nan": (lambda t: in_numpy(t, NAN), "the vector of 'São_Paulo' has a value that float32"),
    "large": (
        lambda t: in_numpy(t, np.full((3, 3), 1e300)),
        "the vector of 'the' has a value that",
    ),
    "pickle": (lambda t: in_numpy(t, np.array([{}, {}, {}])), "not a complete file of numpy"),
    "no words": (lambda t: in_safetensors(t, words=None), "expected the tensors 'vectors' and"),
    "bytes": (
        lambda t: in_safetensors(t, words=bytes_of(b"a\n\xff\nb")),
        "expected words in UTF-8",
    ),
    "kind": (lambda t: in_safetensors(t, words=MATRIX), "expected words in UTF-8"),
    "fewer": (lambda t: in_safetensors(t, words=bytes_of("a")), "but there are 1 words"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_matrices_are_one_error(tmp_path, mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises(DataError, match=re.escape(message)):
        read_vectors(make(tmp_path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (word2vec() + b"x", "has data after the 3 vectors of its header"),
        (word2vec(header=b"4 3\n"), "has no word for vector 4 of 4"),
        (word2vec(header=b"the 1 2 3\n"), "expected the binary format of word2vec"),
        (b"\xba\x16\x4f\x2f" + b"0" * 99, "a model of fastText, which has no list of vectors"),
        (word2vec().replace(MATRIX[1].tobytes(), NAN[1].astype("f4").tobytes()), "'São_Paulo' has"),
    ],
)
def test_mistakes_in_binary_files_are_one_error(tmp_path, data, message):
    (tmp_path / "v.bin").write_bytes(data)
    with pytest.raises(DataError, match=re.escape(message)):
        read_vectors(tmp_path / "v.bin")


def test_a_missing_list_of_words_is_named(tmp_path):
    path = in_numpy(tmp_path)
    path.with_suffix(".txt").unlink()
    with pytest.raises(DataError, match=r"v\.txt: .*it should have the words of v\.npy"):
        read_vectors(path)


@pytest.mark.parametrize(
    ("name", "words", "matrix"),
    [
        ("v.txt", NAMES, MATRIX),
        ("v.safetensors", NAMES[:2], MATRIX),
        ("v.safetensors", ["a", "b", "a"], MATRIX),
        ("v.safetensors", ["a", "b\nc", "d"], MATRIX),
        ("v.safetensors", ["a", "", "d"], MATRIX),
        ("v.safetensors", NAMES, NAN),
        ("v.safetensors", [], MATRIX[:0]),
    ],
)
def test_vectors_that_could_not_be_read_are_not_written(tmp_path, name, words, matrix):
    with pytest.raises(DataError, match=re.escape(name)):
        write_vectors(tmp_path / name, words, matrix)
    assert not (tmp_path / name).exists()

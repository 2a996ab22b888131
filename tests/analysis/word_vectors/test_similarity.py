"""Scores of word vectors: scipy, and vectors whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from mtl.analysis.word_vectors.similarity import (
    Analogy,
    RatedPair,
    VectorSpace,
    check_used,
    read_analogies,
    read_pairs,
)
from mtl.errors import DataError, MtlError

RANDOM = np.random.default_rng(3)
WORDS = ["Rome", "Italy", "Oslo", "Norway", "Paris", "france", "tea", "milk"]
MATRIX = RANDOM.standard_normal((len(WORDS), 5)).astype(np.float32)
VECTORS = VectorSpace(WORDS, MATRIX)


def cosine(first: int, second: int) -> float:
    a, b = MATRIX[first].astype(float), MATRIX[second].astype(float)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_similarity_is_the_rank_correlation_of_cosines() -> None:
    places = [(int(a), int(b)) for a, b in RANDOM.integers(len(WORDS), size=(20, 2))]
    ratings = [float(round(rating)) for rating in RANDOM.uniform(0, 6, size=20)]  # with ties
    pairs = [
        RatedPair(WORDS[a], WORDS[b], score) for (a, b), score in zip(places, ratings, strict=True)
    ]
    found = VECTORS.similarity([*pairs, RatedPair("Rome", "Madrid", 3.0)], "file")
    expected = spearmanr(ratings, [cosine(a, b) for a, b in places]).statistic
    assert found.score == pytest.approx(expected)
    assert (found.used, found.total) == (20, 21)


def test_a_word_without_a_vector_has_that_of_its_lower_case() -> None:
    assert VECTORS.row("France") == WORDS.index("france")
    assert VECTORS.row("rome") is None


@pytest.mark.parametrize("rule", ["add", "mul"])
def test_the_answer_has_the_highest_score_but_is_not_in_the_question(rule: Any) -> None:
    questions = [
        Analogy(*(WORDS[place] for place in RANDOM.permutation(len(WORDS))[:4]), section)
        for section in "ab"
        for _ in range(150)
    ]

    def answer(question: Analogy) -> str:
        a, b, c = (WORDS.index(word) for word in question[:3])
        scores = {}
        for d, word in enumerate(WORDS):
            x, y, z = cosine(d, a), cosine(d, b), cosine(d, c)
            product = (y + 1) / 2 * (z + 1) / 2 / ((x + 1) / 2 + 1e-3)
            scores[word] = y - x + z if rule == "add" else product
        return max((word for word in WORDS if word not in question[:3]), key=scores.__getitem__)

    right = [answer(question) == question.d for question in questions]
    first, second, whole = VECTORS.analogies(questions, "file", rule)
    assert [one.name for one in (first, second, whole)] == ["a", "b", "file"]
    assert first.score == pytest.approx(np.mean(right[:150]))
    assert second.score == pytest.approx(np.mean(right[150:]))
    assert whole.score == pytest.approx(np.mean(right))
    assert 0.1 < whole.score < 0.9


def test_questions_without_vectors_are_left_out() -> None:
    known, unknown = Analogy("Rome", "Italy", "Oslo", "Norway", ""), Analogy(*"abcd", "")
    (score,) = VECTORS.analogies([known, unknown], "file", "add")
    assert (score.used, score.total) == (1, 2)
    (score,) = VECTORS.analogies([unknown], "file", "add")
    assert np.isnan(score.score)
    with pytest.raises(MtlError, match="none of its 1 items has vectors"):
        check_used(score, Path("file"))


def test_files_of_pairs_are_read_in_the_usual_forms(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    for text in (
        "# a comment\nword1\tword2\tmean\ncat\tdog\t7.5\r\n",
        "cat,dog,7.5",
        "cat dog 7.5 x",
    ):
        path.write_text(text)
        assert read_pairs(path) == [RatedPair("cat", "dog", 7.5)]


@pytest.mark.parametrize(
    ("text", "line"), [("cat\tdog\t1\ncat\tdog\n", 2), ("cat\tdog\t1\ncat\tdog\tnan\n", 2), ("", 0)]
)
def test_faults_in_pairs_have_a_place(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(DataError, match="two words and a number") as caught:
        read_pairs(tmp_path / "pairs.txt")
    assert caught.value.line == line


def test_files_of_analogies_have_sections(tmp_path: Path) -> None:
    path = tmp_path / "analogies.txt"
    path.write_text(": capital\nRome Italy Oslo Norway\n\n: other\na b c d\n")
    assert read_analogies(path) == [
        Analogy("Rome", "Italy", "Oslo", "Norway", "capital"), Analogy("a", "b", "c", "d", "other")
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), [("a b c d\na b c\n", 2), (": only\n", 0)])
def test_faults_in_analogies_have_a_place(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "analogies.txt").write_text(text)
    with pytest.raises(DataError, match="four words") as caught:
        read_analogies(tmp_path / "analogies.txt")
    assert caught.value.line == line

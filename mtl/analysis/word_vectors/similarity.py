"""Scores of word vectors: similarity of words and analogies.

Letters: V words, D width, Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtl.errors import DataError, MtlError, shorten
from mtl.files import open_text
from mtl.metrics import Pearson

_TOGETHER = 256
"""Questions that are compared with all words at once."""


class RatedPair(NamedTuple):
    """Two words, and how similar people find them."""

    first: str
    second: str
    score: float


class Analogy(NamedTuple):
    """A question "a is to b as c is to d", and the section of its file; empty without sections."""

    a: str
    b: str
    c: str
    d: str
    section: str


@dataclass(frozen=True)
class VectorScore:
    """The score of word vectors on one file, or on one section of it.

    Args:
        name: The file or section.
        score: Spearman's correlation, or the share of correct answers. NaN if it is undefined.
        used: The number of items whose words all have vectors.
        total: The number of items.
    """

    name: str
    score: float
    used: int
    total: int


class VectorSpace:
    """Word vectors; a word without a vector gets the vector of its lower-case form.

    Args:
        words: The V words.
        matrix: `[V, D]`.
    """

    def __init__(self, words: Sequence[str], matrix: NDArray[np.float32]) -> None:
        self.words = words
        self.unit = unit_rows(matrix)
        self._rows = {word: row for row, word in enumerate(words)}

    def row(self, word: str) -> int | None:
        """Return the row of a word, or None."""
        return self._rows.get(word, self._rows.get(word.lower()))

    def similarity(self, pairs: Sequence[RatedPair], name: str) -> VectorScore:
        """Return the rank correlation of cosines with the scores of pairs (Spearman 1904).

        Pairs with a word that has no vector are left out.
        """
        metric = Pearson()
        for first, second, score in pairs:
            rows = self.row(first), self.row(second)
            if rows[0] is not None and rows[1] is not None:
                metric.gold.append(score)
                metric.predicted.append(float(self.unit[rows[0]] @ self.unit[rows[1]]))
        return VectorScore(name, metric.compute()["spearman"], len(metric.gold), len(pairs))

    def analogies(
        self, questions: Sequence[Analogy], name: str, rule: Literal["add", "mul"]
    ) -> list[VectorScore]:
        """Return the share of correct answers of each section, and of all questions at the end.

        The answer is the word other than a, b and c with the highest score. Questions with a word
        that has no vector are left out.

        Args:
            questions: The questions.
            name: The name of the last score.
            rule: "add": cos(d, b) − cos(d, a) + cos(d, c) (Mikolov et al. 2013). "mul": cos(d, b)
                cos(d, c) / cos(d, a), of cosines moved to [0, 1] (Levy & Goldberg 2014).
        """
        found = [[self.row(word) for word in question[:4]] for question in questions]
        known = [place for place, rows in enumerate(found) if None not in rows]
        right = np.zeros(len(questions), dtype=bool)
        for start in range(0, len(known), _TOGETHER):
            places = known[start : start + _TOGETHER]
            rows = np.array([found[place] for place in places], dtype=np.int64)
            right[places] = self._answers(rows[:, :3], rule) == rows[:, 3]
        sections = list(dict.fromkeys(question.section for question in questions))
        own = [question.section for question in questions]
        known_ones = np.isin(np.arange(len(questions)), known)
        chosen = [(section, np.array([one == section for one in own])) for section in sections]
        if len(sections) < 2:
            chosen = []
        chosen.append((name, np.ones(len(questions), dtype=bool)))
        return [
            VectorScore(
                section,
                float(right[kept & known_ones].mean()) if (kept & known_ones).any() else np.nan,
                int((kept & known_ones).sum()),
                int(kept.sum()),
            )
            for section, kept in chosen
        ]

    def _answers(self, rows: NDArray[np.int64], rule: str) -> NDArray[np.int64]:
        """Return the row of the answer to each question, `[Q]`, given a, b and c `[Q, 3]`."""
        a, b, c = (self.unit[rows[:, place]] @ self.unit.T for place in range(3))
        if rule == "add":
            scores = b - a + c
        else:
            a, b, c = ((cosines + 1) / 2 for cosines in (a, b, c))
            scores = b * c / (a + 1e-3)
        scores[np.arange(len(rows))[:, None], rows] = -np.inf
        best: NDArray[np.int64] = scores.argmax(1)
        return best


def unit_rows(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows divided by their lengths; rows of zeros stay zero."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def read_pairs(path: Path) -> list[RatedPair]:
    """Read pairs of words with a score, one per line, separated by tabs, commas or blanks.

    Lines that begin with `#` are comments. The first line may be a header.

    Raises:
        DataError: The file has no pairs, or a line has no two words and number.
    """
    pairs: list[RatedPair] = []
    header = True
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            sign = next((sign for sign in ("\t", ",", ";") if sign in text), None)
            fields = [field.strip() for field in text.split(sign)]
            try:
                score = float(fields[2])
            except (IndexError, ValueError):
                score = np.nan
            if np.isfinite(score) and fields[0] and fields[1]:
                pairs.append(RatedPair(fields[0], fields[1], score))
            elif not header:
                raise DataError(
                    "expected two words and a number, separated by tabs, commas or blanks, got "
                    f"{shorten(text, 80)!r}",
                    path,
                    number,
                )
            header = False
    if not pairs:
        raise DataError("expected lines with two words and a number, found none", path)
    return pairs


def read_analogies(path: Path) -> list[Analogy]:
    """Read analogies: four words per line, with lines such as `: capitals` before each section.

    Raises:
        DataError: The file has no questions, or a line does not have four words.
    """
    questions: list[Analogy] = []
    section = ""
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith(":"):
                section = line[1:].strip()
            elif words := line.split():
                if len(words) != 4:
                    message = "expected four words with blanks between them, or ': SECTION', got "
                    raise DataError(f"{message}{shorten(line.strip(), 80)!r}", path, number)
                a, b, c, d = words
                questions.append(Analogy(a, b, c, d, section))
    if not questions:
        raise DataError("expected lines with four words, found none", path)
    return questions


def check_used(score: VectorScore, path: Path) -> None:
    """Raise MtlError if none of the words of a file has a vector."""
    if not score.used:
        raise MtlError(
            f"{path}: none of its {score.total:,} items has vectors for all its words; are the "
            "vectors of another language?"
        )

"""Maps between the word vectors of two languages.

Letters: V and U words of the source and the target, N pairs of a dictionary, D and E widths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from mtl.analysis.word_vectors.similarity import unit_rows
from mtl.errors import DataError, MtlError, shorten
from mtl.files import open_text

MapMethod: TypeAlias = Literal["linear", "procrustes", "orthogonal", "cca"]
"""How vectors are mapped; see `map_vectors`."""
METHODS: tuple[MapMethod, ...] = get_args(MapMethod)
Matrix: TypeAlias = NDArray[np.float64]
Translations: TypeAlias = Mapping[str, Sequence[str]]
"""Word to its translations."""

_NEAREST = 10
"""The number of neighbours whose mean similarity CSLS subtracts."""
_TOGETHER = 1024


@dataclass(frozen=True)
class MappedVectors:
    """The vectors of two languages in one space.

    Args:
        source: `[V, D]`, one vector per word of the source language.
        target: `[U, D]`.
    """

    source: NDArray[np.float32]
    target: NDArray[np.float32]


def map_vectors(
    source: NDArray[np.float32],
    target: NDArray[np.float32],
    pairs: Sequence[tuple[int, int]],
    method: MapMethod,
) -> MappedVectors:
    """Map the vectors of two languages into one space, by pairs of words that translate each other.

    - `linear`: X W with the least ‖X W − Z‖² over the pairs (Mikolov et al. 2013).
    - `procrustes`: the same with an orthogonal W, which keeps lengths and angles (Schönemann 1966).
    - `orthogonal`: vectors of length one (Xing et al. 2015) whose mean is subtracted (Artetxe et
      al. 2016), then `procrustes`.
    - `cca`: both sides are projected on the directions in which the pairs correlate most (Faruqui
      & Dyer 2014).

    Args:
        source: `[V, D]`.
        target: `[U, E]`.
        pairs: Rows of the source and the target.
        method: The method.

    Raises:
        MtlError: The widths differ and the method needs equal ones, or there are too few pairs.
    """
    left: Matrix
    right: Matrix
    left, right = source.astype(np.float64), target.astype(np.float64)
    if method in ("procrustes", "orthogonal") and left.shape[1] != right.shape[1]:
        raise MtlError(
            f"{method} needs vectors of one width, got {left.shape[1]} and {right.shape[1]}; use "
            "--method linear or cca"
        )
    least = 2 if method in ("procrustes", "orthogonal") else max(left.shape[1], right.shape[1]) + 1
    if len(pairs) < least:
        other = ", narrower vectors or --method orthogonal" if least > 2 else ""
        raise MtlError(
            f"{method} needs at least {least:,} pairs of words that both have vectors, got "
            f"{len(pairs):,}; use a larger dictionary{other}"
        )
    if method == "orthogonal":
        left, right = _centred(left), _centred(right)
    rows = np.array(pairs)
    x, z = left[rows[:, 0]], right[rows[:, 1]]
    if method == "cca":
        left, right = canonical(left, right, x, z)
    else:
        change = least_squares(x, z) if method == "linear" else procrustes(x, z)
        left = left @ change
    return MappedVectors(left.astype(np.float32), right.astype(np.float32))


def least_squares(x: Matrix, z: Matrix) -> Matrix:
    """Return the matrix W `[D, E]` with the least ‖X W − Z‖²."""
    return np.asarray(np.linalg.lstsq(x, z, rcond=None)[0], dtype=np.float64)


def procrustes(x: Matrix, z: Matrix) -> Matrix:
    """Return the orthogonal matrix W `[D, D]` with the least ‖X W − Z‖²: U Vᵀ for Xᵀ Z = U Σ Vᵀ."""
    left, _, right = np.linalg.svd(x.T @ z)
    found: Matrix = left @ right
    return found


def canonical(left: Matrix, right: Matrix, x: Matrix, z: Matrix) -> tuple[Matrix, Matrix]:
    """Project all vectors on the canonical directions of the pairs (Hotelling 1936).

    Each projection has variance one over the pairs. It is multiplied by the root of its
    correlation, so that uncertain directions count less.

    Args:
        left: `[V, D]`.
        right: `[U, E]`.
        x: `[N, D]`, the vectors of the pairs on the left.
        z: `[N, E]`, those on the right.

    Returns:
        `[V, min(D, E)]` and `[U, min(D, E)]`.
    """
    means = x.mean(0), z.mean(0)
    (white_x, to_x), (white_z, to_z) = (_whitened(one - one.mean(0)) for one in (x, z))
    first, values, second = np.linalg.svd(white_x.T @ white_z, full_matrices=False)
    scales = np.sqrt(np.clip(values, 0, 1))
    return (
        (left - means[0]) @ to_x @ first * scales,
        (right - means[1]) @ to_z @ second.T * scales,
    )


def _whitened(x: Matrix) -> tuple[Matrix, Matrix]:
    """Return rows whose Gram matrix is the identity, and the matrix that makes them."""
    rows, values, columns = np.linalg.svd(x, full_matrices=False)
    kept = values > values[0] * 1e-10
    # Scaled by √N: projected vectors have variance one, whatever the number of pairs.
    return rows[:, kept], columns[kept].T / values[kept] * len(x) ** 0.5


def _centred(vectors: Matrix) -> Matrix:
    """Return vectors of length one with mean zero over the vocabulary."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    centred: Matrix = unit - unit.mean(0)
    return centred


def precision(mapped: MappedVectors, gold: Mapping[int, Sequence[int]], *, csls: bool) -> float:
    """Return the share of source words whose best target word is one of their translations.

    Args:
        mapped: The vectors.
        gold: Row of a source word to the rows of its translations.
        csls: Whether target words that are near to many source words are penalised: 2 cos(x, z) −
            r(x) − r(z), where r is the mean cosine of the ten nearest words of the other language
            (Conneau et al. 2018). Otherwise, the score is cos(x, z).
    """
    left, right = unit_rows(mapped.source), unit_rows(mapped.target)
    crowded = _crowding(right, left) if csls else np.zeros(len(right), dtype=np.float32)
    rows, right_ones = list(gold), 0
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER]
        # r(x) is the same for all target words.
        scores = (2 if csls else 1) * (left[some] @ right.T) - crowded
        answers = scores.argmax(1)
        right_ones += sum(answer in gold[row] for row, answer in zip(some, answers, strict=True))
    return right_ones / len(rows)


def _crowding(words: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean cosine of each word with its nearest words among others, `[V]`."""
    nearest = min(_NEAREST, len(others))
    found = [
        np.partition(words[start : start + _TOGETHER] @ others.T, -nearest, axis=1)[:, -nearest:]
        for start in range(0, len(words), _TOGETHER)
    ]
    means: NDArray[np.float32] = np.concatenate(found).mean(1)
    return means


def read_dictionary(path: Path) -> Translations:
    """Read a dictionary: a word and its translation per line, separated by a tab or blanks.

    Raises:
        DataError: The file has no pairs, or a line does not have two words.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text:
                continue
            words = text.split("\t") if "\t" in text else text.split()
            if len(words) != 2 or not all(map(str.strip, words)):
                message = "expected a word and its translation, with a tab or blank between them"
                raise DataError(f"{message}, got {shorten(text, 80)!r}", path, number)
            found[words[0].strip()].append(words[1].strip())
    if not found:
        raise DataError("expected lines with a word and its translation, found none", path)
    return dict(found)


def divided(
    dictionary: Translations, share: float, seed: int
) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
    """Divide a dictionary by words of the source, so that no word is in both parts.

    Args:
        dictionary: The dictionary.
        share: Share of the words in the second part.
        seed: Seed of the random order.

    Returns:
        The part to learn from and the part to test on.
    """
    words = list(dictionary)
    order = np.random.default_rng(seed).permutation(len(words))
    number = round(share * len(words))
    held_out = {words[place] for place in order[:number]}
    return (
        {word: dictionary[word] for word in words if word not in held_out},
        {word: dictionary[word] for word in words if word in held_out},
    )

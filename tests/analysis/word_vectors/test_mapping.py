"""Maps between languages, against scipy, scikit-learn and loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group
from sklearn.linear_model import LinearRegression

from mtl.analysis.word_vectors.mapping import (
    METHODS,
    MappedVectors,
    canonical,
    divided,
    least_squares,
    map_vectors,
    precision,
    procrustes,
    read_dictionary,
)
from mtl.errors import DataError, MtlError

RANDOM = np.random.default_rng(2)
X = RANDOM.standard_normal((40, 5))
Z = X @ RANDOM.standard_normal((5, 5)) + 0.1 * RANDOM.standard_normal((40, 5))
PAIRS = [(row, row) for row in range(30)]
TURN = ortho_group.rvs(5, random_state=4)


def test_least_squares_are_a_regression_without_intercept() -> None:
    expected = LinearRegression(fit_intercept=False).fit(X, Z).coef_.T
    np.testing.assert_allclose(least_squares(X, Z), expected)


def test_the_turn_is_that_of_scipy() -> None:
    found = procrustes(X, Z)
    np.testing.assert_allclose(found, orthogonal_procrustes(X, Z)[0], atol=1e-12)
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-12)


def test_canonical_directions_correlate_as_the_eigenvalues_say() -> None:
    left, right = canonical(X, Z, X, Z)
    cx, cz = X - X.mean(0), Z - Z.mean(0)
    inner = np.linalg.solve(cx.T @ cx, cx.T @ cz) @ np.linalg.solve(cz.T @ cz, cz.T @ cx)
    squares = np.sort(np.linalg.eigvals(inner).real)[::-1]
    for k in range(5):
        correlation = np.corrcoef(left[:, k], right[:, k])[0, 1]
        assert correlation**2 == pytest.approx(squares[k])
        # Variance one, times the correlation, for the roots of both sides.
        assert left[:, k].var() == pytest.approx(correlation)
    others = np.corrcoef(left.T) - np.eye(5)
    assert np.abs(others).max() < 1e-9


def test_orthogonal_vectors_have_length_one_before_they_are_centred() -> None:
    found = map_vectors(X.astype(np.float32), Z.astype(np.float32), PAIRS, "orthogonal")
    sides = []
    for side in (X, Z):
        unit = side / np.linalg.norm(side, axis=1, keepdims=True)
        sides.append(unit - unit.mean(0))
    turn, _ = orthogonal_procrustes(sides[0][:30], sides[1][:30])
    np.testing.assert_allclose(found.source, sides[0] @ turn, atol=1e-5)
    np.testing.assert_allclose(found.target, sides[1], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_turned_language_is_found_again(method: Any) -> None:
    source = X.astype(np.float32)
    mapped = map_vectors(source, (X @ TURN).astype(np.float32), PAIRS, method)
    gold = {row: [row] for row in range(30, 40)}
    assert precision(mapped, gold, csls=False) == 1
    assert precision(mapped, gold, csls=True) == 1


@pytest.mark.parametrize("csls", [False, True])
def test_precision_counts_the_best_words(csls: bool) -> None:
    mapped = MappedVectors(X.astype(np.float32), RANDOM.standard_normal((25, 5)).astype(np.float32))
    cosines = np.array([
        [x @ z / np.linalg.norm(x) / np.linalg.norm(z) for z in mapped.target.astype(float)]
        for x in mapped.source.astype(float)
    ])  # fmt: skip
    gold = {row: [int(word) for word in RANDOM.choice(25, 8)] for row in range(40)}

    def score(x: int, z: int) -> float:
        near_x, near_z = sorted(cosines[x])[-10:], sorted(cosines[:, z])[-10:]
        crowded = sum(near_x) / 10 + sum(near_z) / 10
        return float(2 * cosines[x, z] - crowded if csls else cosines[x, z])

    right = [max(range(25), key=lambda z: score(x, z)) in gold[x] for x in gold]
    assert precision(mapped, gold, csls=csls) == pytest.approx(np.mean(right))
    assert 0 < np.mean(right) < 1


def test_widths_may_differ_for_linear_and_cca_alone() -> None:
    source, target = X.astype(np.float32), Z[:, :3].astype(np.float32)
    assert map_vectors(source, target, PAIRS, "linear").source.shape == (40, 3)
    assert map_vectors(source, target, PAIRS, "cca").target.shape == (40, 3)
    with pytest.raises(MtlError, match="one width, got 5 and 3; use --method linear or cca"):
        map_vectors(source, target, PAIRS, "orthogonal")


@pytest.mark.parametrize(("method", "least"), [("cca", 6), ("linear", 6), ("procrustes", 2)])
def test_a_map_needs_pairs(method: Any, least: int) -> None:
    source = X.astype(np.float32)
    with pytest.raises(MtlError, match=f"needs at least {least} pairs") as error:
        map_vectors(source, source, PAIRS[: least - 1], method)
    # The method orthogonal needs as few pairs as procrustes.
    assert ("--method orthogonal" in str(error.value)) == (least > 2)
    map_vectors(source, source, PAIRS[:least], method)


def test_no_word_is_in_both_parts_of_a_dictionary() -> None:
    dictionary = {f"w{n}": [f"a{n}", "b"] for n in range(10)}
    learned, tested = divided(dictionary, 0.3, seed=1)
    assert (len(learned), len(tested)) == (7, 3)
    assert learned | tested == dictionary
    assert divided(dictionary, 0.3, seed=1)[1] == tested
    assert divided(dictionary, 0.3, seed=2)[1] != tested


def test_a_word_may_have_several_translations(tmp_path: Path) -> None:
    path = tmp_path / "de-en.txt"
    path.write_text("Haus house\nHaus\tbuilding\n\nNew York\tNew York\n")
    assert read_dictionary(path) == {"Haus": ["house", "building"], "New York": ["New York"]}


@pytest.mark.parametrize(
    ("text", "line"), [("a b\nHaus\n", 2), ("a b c\n", 1), ("a\t\n", 1), ("", 0)]
)
def test_faults_in_dictionaries_have_a_place(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text(text)
    with pytest.raises(DataError, match="a word and its translation") as caught:
        read_dictionary(tmp_path / "d.txt")
    assert caught.value.line == line

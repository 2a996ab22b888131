"""Polarity of reviews in another domain: words alone, and with marginalised denoising features.

    MTL_DATA=… python benchmarks/msda.py --words 2000 --layers 2 --noise 0.5

A logistic regression learns the labelled reviews of one domain, and is tested on another one. Its
features are the most frequent words of both training texts, present or absent. `mSDA` adds the
layers of a marginalised stacked denoising autoencoder (Chen et al. 2012), learned from the reviews
of both domains without their labels. It prints accuracies on the test set of the target.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

FOLDER = Path(os.environ.get("MTL_DATA", "data")) / "fdu_mtl_reviews"
Array = NDArray[np.float64]


def denoising_map(x: Array, noise: float, ridge: float = 1e-5) -> Array:
    """Return the linear map that reconstructs features of which a share was set to zero.

    W minimises the expectation of Σ ‖x − W x̃‖² over all corruptions x̃ of the rows x. In closed
    form, W = P Q⁻¹. With S = Σ x xᵀ and the probability q_i that feature i remains, P_ij = S_ij q_j
    and Q_ij = S_ij q_i q_j for i ≠ j, Q_ii = S_ii q_i. A constant feature is appended, which always
    remains.

    Args:
        x: N rows of D features, `[N, D]`.
        noise: The probability that a feature is set to zero.
        ridge: Added to the diagonal of Q, so that it has an inverse.

    Returns:
        W, `[D, D + 1]`; the last column is the bias.
    """
    x = np.hstack([x, np.ones((len(x), 1))])
    kept = np.full(x.shape[1], 1 - noise)
    kept[-1] = 1
    scatter = x.T @ x
    q = scatter * np.outer(kept, kept)
    np.fill_diagonal(q, scatter.diagonal() * kept + ridge)
    found: Array = np.linalg.solve(q, (scatter * kept)[:-1].T).T
    return found


def stacked(x: Array, noise: float, layers: int) -> list[Array]:
    """Return the maps of all layers; each learns to denoise the layer below."""
    maps = []
    for _ in range(layers):
        maps.append(denoising_map(x, noise))
        x = hidden(x, maps[-1])
    return maps


def hidden(x: Array, weights: Array) -> Array:
    """Return the next layer, tanh(W [x; 1])."""
    return np.tanh(x @ weights[:, :-1].T + weights[:, -1])


def features(x: Array, maps: list[Array]) -> Array:
    """Return the words and all layers side by side."""
    every = [x]
    for weights in maps:
        every.append(hidden(every[-1], weights))
    return np.hstack(every)


def read(domain: str, split: str) -> tuple[list[set[str]], list[str]]:
    """Return the words and the label of each review."""
    (path,) = FOLDER.glob(f"{domain}*.task.{split}")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.split("\t", 1) for line in lines if "\t" in line]
    return [set(text.lower().split()) for _, text in rows], [label for label, _ in rows]


def accuracies(source: str, target: str, words: int, layers: int, noise: float) -> list[float]:
    """Return the accuracies of words alone and of words with layers, in per cent."""
    (train, gold), (other, _), (test, expected) = (
        read(source, "train"),
        read(target, "train"),
        read(target, "test"),
    )
    counts = Counter(word for review in [*train, *other] for word in review)
    known = [word for word, _ in counts.most_common(words)]

    def present(reviews: list[set[str]]) -> Array:
        return np.array([[word in review for word in known] for review in reviews], dtype=float)

    given, unlabelled, tested = present(train), present(other), present(test)
    results = []
    for maps in ([], stacked(np.vstack([given, unlabelled]), noise, layers)):
        model = LogisticRegression(C=0.01, max_iter=1000)
        model.fit(features(given, maps), gold)
        results.append(100 * float(model.score(features(tested, maps), expected)))
    return results


def main() -> None:
    """Print a table of pairs of domains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", nargs="+", default=["books", "kitchen", "dvd"])
    parser.add_argument("--words", type=int, default=2000)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--noise", type=float, default=0.5)
    options = parser.parse_args()
    print("| source | target | words | mSDA |\n| --- | --- | ---: | ---: |")
    rows = []
    for source, target in permutations(options.domains, 2):
        own = accuracies(source, target, options.words, options.layers, options.noise)
        rows.append(own)
        print(f"| {source} | {target} | {own[0]:.2f} | {own[1]:.2f} |", flush=True)
    print("| mean |  | {:.2f} | {:.2f} |".format(*np.mean(rows, axis=0)))


if __name__ == "__main__":
    main()

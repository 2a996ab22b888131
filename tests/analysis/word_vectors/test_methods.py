"""Contracts of all methods that learn word vectors."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl.analysis.word_vectors import METHODS, CountedText, GloVe, VectorMethod
from mtl.analysis.word_vectors.similarity import unit_rows
from mtl.errors import TrainingError
from mtl.options import options_of
from tests.analysis.word_vectors.texts import TEXT, of_topics

FAST = {
    "sgns": {"epochs": 8, "subsample": 0},
    "cbow": {"epochs": 8, "subsample": 0},
    "cw": {"epochs": 20, "window": 2, "hidden_size": 8, "lr": 0.2},
    "nnlm": {"epochs": 8, "hidden_size": 8},
    "glove": {"epochs": 60, "window": 5},
    "ppmi": {},
    "svd": {},
}
NAMES = list(METHODS)


def learned(method: VectorMethod, text: CountedText, dim: int = 8, seed: int = 1) -> Any:
    return method.learn(text, dim, seed=seed, progress=lambda done: None)


def separation(text: CountedText, vectors: NDArray[np.float32]) -> float:
    """The mean cosine within topics less that between them."""
    unit = unit_rows(vectors)
    topic = np.array([word[0] for word in text.words])
    inside = (topic[:, None] == topic) & ~np.eye(len(topic), dtype=bool)
    chosen = np.isin(topic, ["x", "y"])
    cosines, inside = (unit @ unit.T)[chosen][:, chosen], inside[chosen][:, chosen]
    across = (topic[:, None] != topic)[chosen][:, chosen]
    return float(cosines[inside].mean() - cosines[across].mean())


@pytest.mark.parametrize("name", NAMES)
def test_words_of_one_topic_become_similar(name: str) -> None:
    text = of_topics()
    vectors = learned(METHODS.find(name)(**FAST[name]), text)
    assert vectors.shape == (len(text.words), 8)
    assert vectors.dtype == np.float32
    assert separation(text, vectors) > 0.15


@pytest.mark.parametrize("name", ["sgns", "cbow"])
def test_ngrams_do_not_prevent_it(name: str) -> None:
    text = of_topics()
    vectors = learned(METHODS.find(name)(**FAST[name], ngrams=[2, 3]), text)
    assert separation(text, vectors) > 0.15


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_the_vectors(name: str) -> None:
    method = METHODS.find(name)(**FAST[name] | ({"epochs": 1} if "epochs" in FAST[name] else {}))
    first = learned(method, TEXT, 4)
    assert np.array_equal(learned(method, TEXT, 4), first)
    assert np.isfinite(first).all()
    if name != "ppmi":  # which has no random numbers
        assert not np.array_equal(learned(method, TEXT, 4, seed=2), first)


@pytest.mark.parametrize("name", NAMES)
def test_progress_grows_to_one(name: str) -> None:
    shown: list[float] = []
    METHODS.find(name)().learn(TEXT, 4, seed=1, progress=shown.append)
    assert shown == sorted(shown)
    assert shown[-1] == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_method_names_its_paper_and_its_options(name: str) -> None:
    assert re.search(r"\b(19|20)\d\d\b", inspect.getdoc(METHODS.find(name)) or "")
    assert all(option.help for option in options_of(METHODS.find(name)))


def test_a_rate_that_is_too_high_is_an_error() -> None:
    with pytest.raises(TrainingError, match="the loss of epoch 2 is not finite; lower lr"):
        learned(GloVe(lr=1e30), TEXT)

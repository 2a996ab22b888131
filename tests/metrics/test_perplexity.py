"""Perplexity and bits per character."""

from __future__ import annotations

import math

import pytest

from mtl.metrics import UNDEFINED, Accuracy, Perplexity, shown
from mtl.text.running import END, characters

TEXT = [("the", "cat"), ("sat",)]
LOGS = [[math.log(0.5), math.log(0.25)], [math.log(0.125)]]


def measured(gold, logs):
    metric = Perplexity()
    metric.update(gold, logs)
    return metric.compute()


def test_perplexity_is_the_inverse_geometric_mean_probability():
    assert measured(TEXT, LOGS)["perplexity"] == pytest.approx((0.5 * 0.25 * 0.125) ** (-1 / 3))


def test_bits_are_counted_by_character_with_one_after_each_word():
    assert measured(TEXT, LOGS)["bits_per_character"] == pytest.approx((1 + 2 + 3) / (4 + 4 + 4))


def test_the_end_of_a_sentence_counts_as_a_word_but_not_a_character():
    metric = Perplexity()
    metric.update([("an", "ox", END)], [[0.0] * 3])
    assert (metric.words, metric.characters) == (3, len("an ox\n"))


def test_character_tokens_count_words_and_characters_equally():
    tokens = (*characters("an ox"), END)
    found = measured([tokens], [[-math.log(50)] * len(tokens)])
    assert found["perplexity"] == pytest.approx(50 ** (5 / 3))
    assert found["bits_per_character"] == pytest.approx(5 * math.log2(50) / len("an ox\n"))


def test_a_model_that_finds_v_words_alike_has_perplexity_v():
    assert measured([tuple("abcde")], [[-math.log(50)] * 5])["perplexity"] == pytest.approx(50)


def test_the_perplexity_of_no_words_is_undefined_and_of_sure_ones_one():
    assert set(measured([], []).values()) == {UNDEFINED}
    assert measured([("a",)], [[0.0]]) == {"perplexity": 1, "bits_per_character": 0}


@pytest.mark.parametrize("log", [-1e6, math.nan, -math.inf])
def test_hopeless_probabilities_give_infinity_and_no_error(log):
    assert measured([("a",)], [[log]])["perplexity"] == math.inf


def test_a_log_probability_for_each_word_is_expected():
    with pytest.raises(ValueError, match="expected 2 log-probabilities, got 1"):
        measured([("a", "b")], [[-1.0]])


def test_perplexities_are_no_per_cent():
    assert shown(12.345, Perplexity.unit) == "12.35"
    assert shown(0.12345, Accuracy.unit) == "12.35"

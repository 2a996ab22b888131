"""Span F1, accuracy and F1, compared with conlleval, seqeval and scikit-learn."""

from __future__ import annotations

import random
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report as span_report
from sklearn.metrics import accuracy_score, classification_report, precision_recall_fscore_support

from mtl.errors import MtlError
from mtl.metrics import F1, METRICS, UNDEFINED, Accuracy, SpanF1
from mtl.text.spans import SCHEMES, convert
from tests.oracles import conlleval_counts

quick = settings(max_examples=60, deadline=None)
TAGS = ["O", *(f"{p}-{t}" for t in ("X", "Y") for p in "BIES")]
of_labels = [
    name
    for name, metric in METRICS.items()
    if metric.reads == "labels" and metric.level != "sentence"
]
names = pytest.mark.parametrize("name", of_labels)


def pairs(labels, sentences=4):
    """Gold and predicted labels of some sentences of equal lengths."""
    sentence = st.integers(1, 6).flatmap(
        lambda n: st.tuples(*[st.lists(st.sampled_from(labels), min_size=n, max_size=n)] * 2)
    )
    return st.lists(
        sentence.map(lambda s: (tuple(s[0]), tuple(s[1]))), min_size=1, max_size=sentences
    )


def measured(metric, sentences):
    metric.update([gold for gold, _ in sentences], [guess for _, guess in sentences])
    return metric


def flat(sentences):
    return [[label for sentence in sentences for label in sentence[side]] for side in (0, 1)]


@quick
@given(pairs(TAGS))
def test_span_f1_counts_what_conlleval_counts(sentences):
    correct, gold, guessed = conlleval_counts(*zip(*sentences, strict=True))
    metric = measured(SpanF1(), sentences)
    assert (metric.counts.correct.total(), metric.counts.gold.total()) == (correct, gold)
    if not gold:
        assert metric.compute() == dict.fromkeys(("span_f1", "precision", "recall"), UNDEFINED)
        return
    assert metric.compute() == {
        "span_f1": 2 * correct / (gold + guessed),
        "precision": correct / guessed if guessed else 0,
        "recall": correct / gold,
    }


@quick
@given(pairs(TAGS))
def test_spans_of_each_type_are_scored_as_seqeval_scores_them(sentences):
    sides = [[list(tags) for tags in side] for side in zip(*sentences, strict=True)]
    rows = measured(SpanF1(), sentences).per_label()
    if not rows:
        return
    report = span_report(*sides, output_dict=True, zero_division=0)
    for kind, row in rows.items():
        assert list(row.values()) == pytest.approx(list(report[kind].values()))


def test_span_f1_of_a_worked_example():
    gold = [("B-PER", "I-PER", "O", "B-LOC"), ("O", "B-ORG", "I-ORG")]
    guess = [("B-PER", "I-PER", "O", "B-ORG"), ("B-LOC", "B-ORG", "I-ORG")]
    metric = SpanF1()
    metric.update(gold, guess)
    assert metric.compute() == pytest.approx(
        {"span_f1": 4 / 7, "precision": 2 / 4, "recall": 2 / 3}
    )
    assert metric.per_label()["ORG"] == pytest.approx(
        {"precision": 0.5, "recall": 1, "f1": 2 / 3, "support": 1}
    )


@quick
@given(pairs(TAGS), st.sampled_from(SCHEMES))
def test_span_f1_is_the_same_in_every_scheme(sentences, scheme):
    other = [(gold, tuple(convert(guess, scheme))) for gold, guess in sentences]
    assert measured(SpanF1(), sentences).compute() == measured(SpanF1(), other).compute()


def test_labels_that_are_no_spans_have_no_span_f1():
    with pytest.raises(MtlError, match="'NOUN' is not a span tag"):
        SpanF1().update([("NOUN",)], [("NOUN",)])


@quick
@given(pairs("abc"))
def test_accuracy_equals_scikit_learn(sentences):
    score = measured(Accuracy(), sentences).compute()
    assert score == pytest.approx({"accuracy": accuracy_score(*flat(sentences))})


@quick
@given(pairs("abc"), st.sampled_from(["macro", "micro"]))
def test_f1_equals_scikit_learn(sentences, average):
    oracle = precision_recall_fscore_support(*flat(sentences), average=average, zero_division=0)
    scores = measured(F1(average=average), sentences).compute()
    assert [scores["precision"], scores["recall"], scores["f1"]] == pytest.approx(oracle[:3])


@pytest.mark.parametrize("metric", [Accuracy, F1])
@quick
@given(sentences=pairs("abc"))
def test_the_table_of_labels_equals_scikit_learn(metric, sentences):
    report = classification_report(*flat(sentences), output_dict=True, zero_division=0)
    rows = measured(metric(), sentences).per_label()
    assert list(rows) == sorted(set("abc") & report.keys())
    for label, row in rows.items():
        assert list(row.values()) == pytest.approx(list(report[label].values()))


@pytest.mark.parametrize("metric", [Accuracy, F1])
def test_sentences_of_one_label_count_as_one_token_does(metric):
    gold, guess = ["a", "b", "long"], ["a", "a", "long"]
    classified, tagged = metric(), metric()
    classified.update(gold, guess)
    tagged.update([tuple(gold)], [tuple(guess)])
    assert classified.compute() == tagged.compute()
    assert classified.per_label().keys() == {"a", "b", "long"}


@names
@quick
@given(sentences=pairs(TAGS, sentences=6), cut=st.integers(0, 6))
def test_merging_two_parts_equals_counting_the_whole(name, sentences, cut):
    metric = METRICS.find(name)
    merged = measured(metric(), sentences[:cut])
    merged.merge(measured(metric(), sentences[cut:]))
    whole = measured(metric(), sentences)
    assert merged.compute() == whole.compute()
    assert merged.per_label() == whole.per_label()


@pytest.mark.parametrize("name", list(METRICS))
def test_the_first_score_is_called_as_the_metric_is(name):
    assert next(iter(METRICS.find(name)().compute())) == name


@names
def test_scores_of_nothing_are_undefined(name):
    assert set(METRICS.find(name)().compute().values()) == {UNDEFINED}
    assert METRICS.find(name)().per_label() == {}


@names
def test_perfect_predictions_score_one(name):
    metric = measured(METRICS.find(name)(), [(("B-X", "O"), ("B-X", "O"))])
    assert set(metric.compute().values()) == {1}


@names
def test_a_gold_label_that_is_never_predicted_lowers_the_score(name):
    sentence = (("B-X", "B-NEW"), ("B-X", "O"))
    metric = measured(METRICS.find(name)(), [sentence])
    assert metric.compute()[name] < 1
    assert metric.per_label()["NEW" if name == "span_f1" else "B-NEW"]["recall"] == 0


@names
@pytest.mark.parametrize(
    ("gold", "guess"), [([("O", "O")], [("O",)]), ([("O",)], []), ([], [("O",)])]
)
def test_different_numbers_of_labels_are_an_error(name, gold, guess):
    with pytest.raises(ValueError, match=r"expected as many|zip\(\) argument"):
        METRICS.find(name)().update(gold, guess)


@quick
@given(pairs(TAGS), st.integers(0, 99))
def test_tokens_without_a_gold_label_do_not_count(sentences, seed):
    chosen = random.Random(seed)
    hidden = [
        (tuple(None if chosen.random() < 0.4 else tag for tag in gold), guess)
        for gold, guess in sentences
    ]
    known = [
        [pair for pair in zip(*sentence, strict=True) if pair[0] is not None] for sentence in hidden
    ]
    left = [tuple(zip(*pairs, strict=True)) for pairs in known if pairs]
    assert measured(Accuracy(), hidden).counts == measured(Accuracy(), left).counts
    # For spans, an unlabelled token ends a sentence: each labelled part is read on its own.
    parts = [
        tuple(zip(*part, strict=True))
        for sentence in hidden
        for inside, part in groupby(zip(*sentence, strict=True), lambda pair: pair[0] is not None)
        if inside
    ]
    assert measured(SpanF1(), hidden).counts == measured(SpanF1(), parts).counts


@names
def test_lists_count_as_tuples(name) -> None:
    gold, guess = ["B-X", "I-X", "O", "B-Y"], ["B-X", "O", "O", "B-Y"]
    lists, tuples = METRICS.find(name)(), METRICS.find(name)()
    lists.update([gold], [guess])
    tuples.update([tuple(gold)], [tuple(guess)])
    assert lists.compute() == tuples.compute()


def test_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one label per token, in a tuple or list, got 3"):
        Accuracy().update([3], [3])

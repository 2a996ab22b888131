"""Label sequences beside the best one, and labels that the input gives, against all sequences."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch

from mtl.errors import MtlError
from mtl.heads import ConstrainedTagger, CRFTagger, Head, MEMMTagger, PoolClassifier, SoftmaxTagger
from mtl.inference.inputs import Sentence
from mtl.inference.predictor import Predictor
from mtl.layers.rules import warn_once
from mtl.targets import SentenceLabelTarget, TokenLabelTarget
from mtl.text.spans import convert
from tests.inference.untrained import text, untrained

LABELS = ["O", "B-X", "I-X", "E-X", "S-X"]
HEADS: dict[str, Callable[[], Head]] = {
    "softmax": lambda: SoftmaxTagger(6, LABELS),
    "constrained": lambda: ConstrainedTagger(6, LABELS, scheme="iobes"),
    "crf": lambda: CRFTagger(6, LABELS, scheme="iobes", constrained=True),
    "input": lambda: CRFTagger(6, LABELS, scheme="iobes", constrained=True, transitions="input"),
    "memm": lambda: MEMMTagger(6, LABELS),
    "rules": lambda: CRFTagger(6, LABELS, rules=[{"at_most": 1, "labels": "X"}]),
}
heads = pytest.mark.parametrize("name", HEADS)


def predictor(name: str, **options: Any) -> Predictor:
    targets = {"t": TokenLabelTarget(LABELS)}
    return untrained({"t": HEADS[name]}, targets, **{"schemes": {}, **options})


def ranked(own: Predictor, sentence: Sentence, good: Callable[[tuple[str, ...]], bool]) -> Any:
    """All label sequences that are good, by their log-probability, best first."""
    batch = own.batcher.batch([sentence.example])
    head, hidden = own.head("t"), own.model.encode(batch, ["t"]).hidden["t"]
    found = {}
    with torch.no_grad():
        for ids in product(range(len(LABELS)), repeat=len(sentence.example)):
            path = tuple(LABELS[i] for i in ids)
            if good(path):
                found[path] = head.loss(hidden, batch.mask, torch.tensor([ids])).neg().exp().item()
    total = sum(found.values())
    return sorted(((p / total, path) for path, p in found.items() if p), reverse=True)


def obeys(name: str, path: tuple[str, ...]) -> bool:
    if name == "rules":
        return sum(label in ("B-X", "S-X") for label in path) <= 1
    return name != "constrained" or tuple(convert(path, "iobes")) == path


@heads
def test_the_n_best_sequences_are_those_of_all(name: str) -> None:
    own, sentence = predictor(name), Sentence(text(3))
    (found,) = own.run([sentence], ["t"], n_best=4)
    expected = ranked(own, sentence, lambda path: obeys(name, path))[:4]
    assert [tuple(path.labels) for path in found["t"].paths] == [path for _, path in expected]
    assert [path.probability for path in found["t"].paths] == pytest.approx(
        [p for p, _ in expected], rel=1e-4
    )
    assert found["t"].labels == expected[0][1]


@heads
def test_given_labels_are_kept_and_the_others_are_the_best(name: str) -> None:
    sentence = Sentence(text(3), given={"t": [None, {"B-X", "S-X"}, None]})
    own = predictor(name)
    (found,) = own.run([sentence], ["t"], n_best=2)
    expected = ranked(own, sentence, lambda path: obeys(name, path) and path[1] in ("B-X", "S-X"))
    assert found["t"].labels == expected[0][1]
    assert found["t"].paths[1].probability == pytest.approx(expected[1][0], rel=1e-4)


def test_a_name_may_be_a_label_a_tag_of_the_output_or_a_type() -> None:
    own = predictor("crf", schemes={"t": "bio"})
    for name, first in [("B-X", {"B-X"}), ("X", {"B-X", "I-X"}), ("S-X", {"B-X"}), ("O", {"O"})]:
        sentence = Sentence(text(2), given={"t": [[name], None]})
        (found,) = own.run([sentence], ["t"])
        assert found["t"].labels[0] in first


@heads
@pytest.mark.parametrize("schemes", [{}, {"t": "bio"}])
def test_sequences_of_windows_that_overlap_are_given_once(name: str, schemes: Any) -> None:
    own = predictor(name, max_length=4, overlap=3, schemes=schemes)
    (found,) = own.run([Sentence(text(7))], ["t"], n_best=5)
    paths = [tuple(path.labels) for path in found["t"].paths]
    assert 1 < len(set(paths)) == len(paths) <= 5
    assert paths[0] == found["t"].labels


@heads
def test_windows_and_batches_change_nothing(name: str) -> None:
    own = predictor(name, max_length=4, overlap=2)
    given: list[Any] = [None, ["O"], ["S-X"], None, ["O"], None, None, ["S-X"], None]
    if name == "rules":
        given[7] = None
    long, short = Sentence(text(9), given={"t": given}), Sentence(text(3))
    together = list(own.run([long, short, Sentence(text(0))], ["t"], n_best=2))
    for sentence, found in zip([long, short], together, strict=False):
        (alone,) = own.run([sentence], ["t"], n_best=2)
        assert alone["t"].labels == found["t"].labels
        assert [p.probability for p in alone["t"].paths] == pytest.approx(
            [p.probability for p in found["t"].paths], rel=1e-4
        )
    labels = together[0]["t"].labels
    assert all(not want or labels[i] in want for i, want in enumerate(given))
    assert together[2]["t"].paths == ()


def test_given_labels_that_no_sequence_has_overrule_the_scheme(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_once.cache_clear()
    sentence = Sentence(text(3), given={"t": [["B-X"], ["S-X"], None]})
    (found,) = predictor("crf").run([sentence], ["t"])
    assert found["t"].labels[:2] == ("B-X", "S-X")
    assert "allow no sequence under the scheme of the head" in caplog.text


def test_labels_of_which_there_are_none_are_errors() -> None:
    sentence = Sentence(text(2), given={"t": [["B-Y"], None]})
    with pytest.raises(MtlError, match="unknown label 'B-Y' is given for a token; did you mean"):
        list(predictor("crf").run([sentence], ["t"]))
    classifier = untrained(
        {"t": lambda: PoolClassifier(6, LABELS)}, {"t": SentenceLabelTarget(LABELS)}, schemes={}
    )
    with pytest.raises(MtlError, match="labels are given, but it has no label per token"):
        list(classifier.run([Sentence(text(1), given={"t": [["O"]]})], ["t"]))

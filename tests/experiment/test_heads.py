"""Every head through configuration, data, training, scores and prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtl.errors import ConfigError
from mtl.text.spans import malformed
from tests.training.runs import prepared, trainer

NER, VERB = {"use": "c/ner"}, {"use": "c/verb"}
TASKS: dict[str, dict[str, Any]] = {
    "constrained": {**NER, "head": {"type": "constrained", "never": [["O", "O"]]}},
    "iobes": {**NER, "head": {"type": "constrained", "scheme": "iobes"}},
    "crf": {**NER, "head": {"label_smoothing": 0.1, "class_weights": {"O": 0.5}}},
    "crf_constrained": {**NER, "head": {"scheme": "iobes", "constrained": True}},
    "softmax": {"use": "c/pos", "head": {"attention": "key_value", "window": 2}},
    "attending": {**VERB, "head": {"type": "attention", "hops": 2, "penalty": 0.1}},
    "cnn": {**VERB, "head": {"type": "cnn", "maps": 4, "k": 2}},
    "normed": {**VERB, "head": {"type": "cnn", "maps": 4, "batch_norm": True}},
    "deep_cnn": {**VERB, "head": {"type": "deep_cnn", "layers": [1, 1], "maps": 4, "k": 2}},
    "hierarchical": {**VERB, "head": {"type": "hierarchical", "block": 2}},
    "domain": {**VERB, "head": {"type": "domain", "ramp": 5}},
    "coral": {**VERB, "head": {"type": "domain_distance", "distance": "coral"}},
    "mmd": {**VERB, "head": {"type": "domain_distance", "distance": "mmd"}},
}


def test_every_head_trains_scores_and_predicts(tmp_path: Path) -> None:
    made = trainer(tmp_path, TASKS, epochs=1)
    *_, epoch = made.run()
    assert epoch.dev.scores().keys() == TASKS.keys()
    assert all(loss > 0 for loss in epoch.losses.values())


def test_the_best_epoch_is_not_that_of_the_best_adversary(tmp_path: Path) -> None:
    made = trainer(tmp_path, {"softmax": TASKS["softmax"], "domain": TASKS["domain"]}, epochs=2)
    last = list(made.run())[-1]
    assert last.score == last.dev.scores()["softmax"]["accuracy"]


def test_a_constrained_head_obeys_the_scheme_of_the_corpus_and_its_rules(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, {"ner": TASKS["constrained"]})
    assert experiment.run.tasks["ner"].head.options["scheme"] is None
    for found in experiment.predictor.predict([*corpora["c"].splits["train"]], ["ner"]):
        assert not malformed(found["ner"], "bio")
        assert ("O", "O") not in zip(found["ner"], found["ner"][1:], strict=False)


def test_a_rule_about_labels_that_there_are_not_is_told(tmp_path: Path) -> None:
    head = {"type": "constrained", "never": [["O", "I-PRE"]]}
    with pytest.raises(ConfigError, match="head 'constrained': never: unknown label 'I-PRE'"):
        prepared(tmp_path, {"ner": {**NER, "head": head}})


def test_contradictory_rules_are_reported_before_training(tmp_path: Path) -> None:
    head = {"type": "constrained", "never": [[None, label] for label in ["O", "B-PER"]]}
    with pytest.raises(ConfigError, match=r"^tasks.ner.head: .*: never: the rules allow no seq"):
        prepared(tmp_path, {"ner": {**NER, "head": head}})


def test_a_crf_without_a_scheme_to_obey_is_told(tmp_path: Path) -> None:
    head = {"type": "crf", "constrained": True}
    with pytest.raises(ConfigError, match="head 'crf': constrained: the labels have no"):
        prepared(tmp_path, {"pos": {"use": "c/pos", "head": head}})

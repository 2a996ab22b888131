"""Heads whose predictions start at the frequencies of the labels."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.errors import ConfigError
from mtl.experiment import Experiment
from mtl.experiment.frequencies import start_at_frequencies
from mtl.heads import (
    ConstrainedTagger,
    CRFTagger,
    Head,
    LabelSet,
    MEMMTagger,
    Number,
    PoolClassifier,
    SoftmaxTagger,
)
from mtl.heads.single_label import SingleLabelHead
from mtl.targets.soft import SoftLabel
from tests.training.runs import corpus, prepared
from tests.training.texts import language_model

LABELS = ["A", "B", "C"]
COUNTS = torch.tensor([6.0, 3.0, 0.0])
SHARES = torch.tensor([6.5, 3.5, 0.5]) / 10.5
"""The frequencies with half a label more of each kind."""
TOKENS = (2, 3)


def without_input(head: SingleLabelHead) -> SingleLabelHead:
    """Return the head with zero weights, so that its scores are its biases."""
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
    return head.eval()


def probabilities(head: Head) -> Tensor:
    hidden, mask = torch.randn(*TOKENS, 4), torch.ones(*TOKENS, dtype=torch.bool)
    with torch.no_grad():
        return head.log_probs(hidden, mask).exp()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SoftmaxTagger, {}),
        (SoftmaxTagger, {"hidden_size": 5}),
        (ConstrainedTagger, {}),
        (CRFTagger, {}),
        (CRFTagger, {"transitions": "input"}),
        (MEMMTagger, {}),
        (PoolClassifier, {}),
    ],
    ids=str,
)
def test_probabilities_start_at_the_frequencies(kind: Any, options: dict[str, Any]) -> None:
    head = without_input(kind(4, LABELS, **options))
    if isinstance(head, CRFTagger):
        for parameter in head.crf.parameters():
            nn.init.zeros_(parameter)
    head.start(COUNTS, 9)
    found = probabilities(head)
    torch.testing.assert_close(found, SHARES.expand_as(found))


def test_class_weights_count_like_more_labels() -> None:
    weights = {"B": 2.0}
    head = without_input(SoftmaxTagger(4, LABELS, class_weights=weights))
    head.start(COUNTS, 9)
    found = probabilities(head)
    torch.testing.assert_close(found[0, 0], torch.tensor([6.5, 6.5, 0.5]) / 13.5)


def test_balanced_classes_start_alike_except_those_that_do_not_occur() -> None:
    head = without_input(SoftmaxTagger(4, LABELS, class_weights="balanced"))
    head.balance(COUNTS)
    head.start(COUNTS, 9)
    first, second, absent = probabilities(head)[0, 0].tolist()
    assert first == pytest.approx(second)
    assert absent < first / 5


def test_sets_start_at_the_frequency_of_each_label() -> None:
    head = without_input(PoolClassifier(4, LabelSet(LABELS)))
    head.start(COUNTS, 9)
    torch.testing.assert_close(probabilities(head)[0], torch.tensor([6.5, 3.5, 0.5]) / 10)


def test_distributions_start_at_their_mean() -> None:
    head = without_input(PoolClassifier(4, SoftLabel(LABELS)))
    head.start(torch.tensor([2.5, 0.5, 1.0]), 4)
    torch.testing.assert_close(probabilities(head)[0], torch.tensor([3.0, 1.0, 1.5]) / 5.5)


def test_numbers_start_at_their_mean() -> None:
    head = without_input(PoolClassifier(4, Number(3.5, 2.0)))
    head.start(torch.zeros(0), 9)
    mask = torch.ones(*TOKENS, dtype=torch.bool)
    assert head.decode(torch.randn(*TOKENS, 4), mask).tolist() == [3.5, 3.5]


@pytest.mark.parametrize("output", [nn.Linear(4, 3, bias=False), nn.Linear(4, 2), nn.Identity()])
def test_a_head_without_a_bias_per_label_is_left_as_it_is(output: nn.Module) -> None:
    head = PoolClassifier(4, LABELS)
    head.output = output  # type: ignore[assignment]  # as a head of a user may have it
    before = [parameter.clone() for parameter in output.parameters()]
    assert not head.start(COUNTS, 9)
    assert all(map(torch.equal, before, output.parameters()))


def biases(experiment: Experiment, task: str) -> list[float]:
    head = experiment.model.head(task)
    assert isinstance(head, SingleLabelHead)
    return head.output.bias.tolist()


@pytest.mark.parametrize("task", ["pos", "ner", "verb"])
def test_a_run_counts_the_labels_of_its_training_data(task: str, tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, {task: {"use": f"c/{task}"}})
    counts: Counter[str] = Counter()
    for example in corpora["c"].splits["train"]:
        gold = example.labels[task]
        counts.update([gold] if isinstance(gold, str) else gold)
    labels = experiment.model.head(task).labels
    total = sum(counts.values()) + len(labels) / 2
    expected = [(counts[label] + 0.5) / total for label in labels]
    assert torch.tensor(biases(experiment, task)).exp().tolist() == pytest.approx(expected)


def test_a_shared_head_counts_the_labels_of_all_its_tasks(tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 9 * n, first=n) for n, name in enumerate("cd", 1)}
    tasks = {"pos": {"use": "c/pos"}, "other": {"use": "d/pos", "head": "pos"}}
    experiment, found = prepared(tmp_path, tasks, corpora)
    counts: Counter[str] = Counter()
    for task, name in {"pos": "c", "other": "d"}.items():
        for example in found[name].splits["train"]:
            counts.update(str(tag) for tag in example.labels[task] or ())
    labels = experiment.model.head("pos").labels
    total = sum(counts.values()) + len(labels) / 2
    expected = [(counts[label] + 0.5) / total for label in labels]
    assert torch.tensor(biases(experiment, "pos")).exp().tolist() == pytest.approx(expected)


def test_language_models_have_no_labels_to_count(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="label_prior: has no effect on language models"):
        language_model(tmp_path, {"type": "lstm"}, label_prior=False)


def test_without_it_biases_start_at_random(tmp_path: Path) -> None:
    experiment, _ = prepared(tmp_path, {"pos": {"use": "c/pos"}}, label_prior=False)
    assert max(map(abs, biases(experiment, "pos"))) < 0.4


def test_a_crf_starts_as_the_markov_chain_of_neighbouring_labels(tmp_path: Path) -> None:
    experiment, corpora = prepared(
        tmp_path, {"pos": {"use": "c/pos", "head": {"type": "crf", "dropout": 0.0}}}
    )
    head = without_input(experiment.model.head("pos"))
    assert isinstance(head, CRFTagger)
    labels, pairs, first = head.labels, Counter[tuple[str, str]](), Counter[str]()
    single: Counter[str] = Counter()
    for example in corpora["c"].splits["train"]:
        tags = [str(tag) for tag in example.labels["pos"] or ()]
        single.update(tags)
        first.update(tags[:1])
        pairs.update(pairwise(tags))
    total = sum(single.values()) + len(labels) / 2
    p = {label: (single[label] + 0.5) / total for label in labels}

    def chance(path: tuple[str, ...]) -> float:
        found = (first[path[0]] + p[path[0]]) / (sum(first.values()) + 1)
        for a, b in pairwise(path):
            after = sum(n for pair, n in pairs.items() if pair[0] == a)
            found *= (pairs[a, b] + p[b]) / (after + 1)
        return found

    hidden, mask = torch.randn(1, 3, head.in_features), torch.ones(1, 3, dtype=torch.bool)
    for path in product(labels, repeat=3):
        ids = torch.tensor([[labels.index(label) for label in path]])
        assert head.loss(hidden, mask, ids).exp().item() == pytest.approx(
            1 / chance(path), rel=1e-4
        )


def test_a_crf_without_biases_keeps_its_transitions(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos", "head": {"type": "crf"}}}
    experiment, corpora = prepared(tmp_path, tasks, label_prior=False)
    head = experiment.model.head("pos")
    assert isinstance(head, CRFTagger)
    head.output = nn.Linear(head.output.in_features, len(head.labels), bias=False)
    before = head.crf.transitions.clone()
    targets = experiment.batcher.targets
    start_at_frequencies(experiment.run, corpora, targets, experiment.model.heads)
    assert head.crf.transitions.equal(before)


def test_missing_labels_are_not_counted_as_neighbours(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b", "c"], "pos": ["A", None, "B"]}, {"tokens": ["a"], "pos": ["A"]}]
    text = "\n".join(map(json.dumps, rows))
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text(text + "\n")
    task = {"labels": "pos", "head": {"type": "crf"}, "metric": "accuracy"}
    files = {split: f"{split}.jsonl" for split in ("train", "dev")}
    corpora = {"c": {"reader": {"type": "jsonl"}, "files": files, "tasks": {"pos": task}}}
    experiment, _ = prepared(tmp_path, {"pos": {"use": "c/pos"}}, corpora)
    head = experiment.model.head("pos")
    assert isinstance(head, CRFTagger)
    torch.testing.assert_close(head.crf.transitions.detach(), torch.zeros(2, 2))
    shares = torch.tensor([2.5, 1.5]) / 4
    expected = ((torch.tensor([2.0, 0.0]) / shares + 1) / 3).log()
    torch.testing.assert_close(head.crf.start_transitions.detach(), expected)

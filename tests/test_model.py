"""The multi-task model: targets, losses and penalties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.embeddings import Concatenation, WordEmbedding
from mtl.heads import CRFTagger, PoolClassifier, SoftmaxTagger
from mtl.model import Layer, MultiTaskModel
from mtl.sharing import Hard, TrunkOutput
from mtl.targets import MISSING, SentenceLabelTarget, TokenLabelTarget
from mtl.text.example import Example
from mtl.text.vocabulary import WordVocabulary
from mtl.trunks import LSTMTrunk

EXAMPLES = [
    Example(("a", "cat", "sat"), {"pos": ("D", "N", "V"), "ner": ("O", "O", "O"), "verb": "yes"}),
    Example(("a",), {"pos": ("D",)}),
    Example(("Ada", "sat"), {"ner": ("B-X", "O"), "verb": "yes"}),
    Example(("cat",), {"verb": "no"}),
]
LABELS = {
    "pos": TokenLabelTarget(["D", "N", "V"]),
    "ner": TokenLabelTarget(["O", "B-X", "I-X"]),
    "verb": SentenceLabelTarget(["yes", "no"]),
}
TASKS = list(LABELS)
WORDS = WordVocabulary.build({"a": 2, "cat": 2, "sat": 2, "ada": 1})
ENCODER = Batcher({"words": WORDS}, LABELS)


def made(layers: Mapping[str, Layer] | None = None) -> MultiTaskModel:
    """A model with a tagger, a CRF and a classifier; widths 5 (embedding), 6 and 6."""
    layers = {**dict.fromkeys(TASKS, -1), **(layers or {})}
    width = {task: 5 if layer == 0 else 6 for task, layer in layers.items()}
    embedding = Concatenation({"words": WordEmbedding({"words": WORDS}, dim=5)})
    sharing = Hard(TASKS, lambda: LSTMTrunk(embedding.size, num_layers=2, hidden_size=3))
    heads = {
        "pos": SoftmaxTagger(width["pos"], LABELS["pos"].labels),
        "ner": CRFTagger(width["ner"], LABELS["ner"].labels),
        "verb": PoolClassifier(width["verb"], LABELS["verb"].labels),
    }
    own = {task: task for task in TASKS}
    return MultiTaskModel(embedding, sharing, heads, head_of=own, layers=layers).eval()


def batch(rows: list[int] | None = None, tasks: list[str] = TASKS) -> Batch:
    return ENCODER.batch([EXAMPLES[i] for i in rows or range(4)], tasks)


@pytest.mark.parametrize("tasks", [["pos"], ["verb", "ner"], TASKS])
def test_the_targets_of_a_batch_decide_which_heads_run(tasks: list[str]) -> None:
    model = made()
    losses = model(batch(tasks=tasks)).losses
    assert set(losses) == set(tasks)
    sum(loss.sum() for loss in losses.values()).backward()
    trained = {name for name, head in model.heads.items() if head.output.bias.grad is not None}
    assert trained == set(tasks)


def test_sentences_without_labels_have_loss_zero() -> None:
    losses = made()(batch()).losses
    assert (losses["pos"] != 0).tolist() == [True, True, False, False]
    assert (losses["ner"] != 0).tolist() == [True, False, True, False]
    assert (losses["verb"] != 0).tolist() == [True, False, True, True]


@pytest.mark.parametrize("task", TASKS)
def test_unlabelled_sentences_do_not_affect_the_others(task: str) -> None:
    model = made()
    rows = [i for i, example in enumerate(EXAMPLES) if task in example.labels]
    together = model(batch()).losses[task][rows]
    torch.testing.assert_close(model(batch(rows, [task])).losses[task], together)


def test_a_batch_without_labels_at_all_has_loss_and_gradient_zero() -> None:
    model, found = made(), batch()
    nothing = {task: torch.full_like(t, MISSING) for task, t in found.targets.items()}
    losses = model(Batch(found.features, found.mask, nothing)).losses
    assert not any(loss.any() for loss in losses.values())


class Charged(Hard):
    """A sharing with a term of the loss that all tasks have, and one of each task alone."""

    def forward(self, *given: Any) -> dict[str, TrunkOutput]:
        one = torch.tensor(1.0)
        return {
            task: replace(own, penalties={"all": one, f"own.{task}": 2 * one})
            for task, own in super().forward(*given).items()
        }


def test_penalties_of_one_name_are_one_term_of_the_loss() -> None:
    model = made()
    model.sharing = Charged(TASKS, lambda: LSTMTrunk(5, num_layers=2, hidden_size=3))
    assert model(batch(tasks=["pos", "ner"])).penalties == {"all": 1, "own.pos": 2, "own.ner": 2}


@pytest.mark.parametrize("layer", [0, 1, 2, -1, -2])
def test_a_head_reads_the_layer_it_is_told_to(layer: int) -> None:
    model, found = made({"pos": layer}), batch()
    read = model.encode(found, ["pos"]).hidden["pos"]
    x = model.embedding(found.features, found.mask).vectors
    assert torch.equal(read, model.sharing.trunk(x, found.mask)[0][layer])


def test_a_head_may_read_a_mix_of_the_layers_above_the_embedding() -> None:
    model, found = made({"ner": "mix"}), batch()
    x = model.embedding(found.features, found.mask).vectors
    layers = model.sharing.trunk(x, found.mask)[0]
    read = model.encode(found, ["ner"]).hidden["ner"]
    torch.testing.assert_close(read, (layers[1] + layers[2]) / 2)
    assert set(model.mixes) == {"ner"}


def test_a_head_may_read_a_mix_with_the_embedding() -> None:
    model, found = made({"ner": "mix_all"}), batch()
    x = model.embedding(found.features, found.mask).vectors
    layers = model.sharing.trunk(x, found.mask)[0]
    read = model.encode(found, ["ner"]).hidden["ner"]
    expected = (model.mixes["ner"].tokens(x) + layers[1] + layers[2]) / 3
    torch.testing.assert_close(read, expected)


def test_a_task_on_the_first_layer_does_not_train_the_second() -> None:
    model = made({"pos": 1})
    model(batch(tasks=["pos"])).losses["pos"].sum().backward()
    below, above = model.sharing.trunk.layers
    assert all(p.grad.any() for p in below.parameters())
    assert not any(p.grad is not None and p.grad.any() for p in above.parameters())


def test_two_tasks_may_have_one_head() -> None:
    model = made()
    model.head_of["pos2"], model.layers["pos2"] = "pos", -1
    assert model.head("pos2") is model.head("pos")
    assert not any(name.startswith("heads.pos2") for name in model.state_dict())

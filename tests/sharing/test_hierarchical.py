"""Joint Many-Task: levels, label vectors of lower levels, and the penalty on forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.errors import ConfigError
from mtl.experiment.plan import make_plan
from mtl.sharing import Hierarchical
from mtl.trunks import LSTMTrunk
from tests.contracts.variants import shaken
from tests.training.runs import corpus, epochs_of, prepared, steps_of, trainer

TASKS = ["a", "b", "c"]
RUN = {name: {"use": f"c/{name}"} for name in ("verb", "ner", "pos")}
ORDER = ["pos", "ner", "verb"]
X = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).double()
MASK = torch.ones(2, 5, dtype=torch.bool)


def made(**options: Any) -> Hierarchical:
    options = {"label_dim": 2, **options}
    return shaken(Hierarchical(TASKS, lambda: LSTMTrunk(4, hidden_size=3, dropout=0), **options))


def said(task: str, layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Label scores that depend on the last layer, differently for each task."""
    return (1 + TASKS.index(task)) * layers[-1][..., :2]


def changed_by(sharing: Hierarchical, task: str) -> set[str]:
    """The tasks that read something else if the trunk of a task is another."""
    before = sharing(X, MASK, TASKS, None, said)
    sharing.trunks[task].apply(lambda m: [p.data.mul_(1.5) for p in m.parameters(False)] and None)
    after = sharing(X, MASK, TASKS, None, said)
    return {t for t in TASKS if not torch.equal(before[t].layers[-1], after[t].layers[-1])}


def test_a_level_reads_all_earlier_levels_of_the_order() -> None:
    order = ["c", "a", "b"]
    assert changed_by(made(order=order), "c") == {"a", "b", "c"}
    assert changed_by(made(order=order), "a") == {"a", "b"}
    assert changed_by(made(order=order), "b") == {"b"}


def test_hashimoto_2017_inputs_of_a_level() -> None:
    sharing = made()
    found = sharing(X, MASK, TASKS, None, said)
    a, b = (found[task].layers for task in "ab")
    read = torch.cat([X, b[-1], said("a", a, MASK) + said("b", b, MASK)], dim=2)
    expected, _ = sharing.trunks["c"](read @ sharing.inputs["c"].weight.T, MASK)
    torch.testing.assert_close(found["c"].layers[1:], expected[1:])


def test_levels_above_the_tasks_asked_for_do_not_run() -> None:
    sharing = made()
    asked: list[str] = []

    def listening(task: str, layers: Sequence[Tensor], mask: Tensor) -> None:
        asked.append(task)

    sharing(X, MASK, ["a"], None, listening)["a"].layers[-1].sum().backward()
    assert not asked
    assert all(p.grad is None for p in sharing.trunks["b"].parameters())
    sharing(X, MASK, ["c"], None, listening)
    assert asked == ["a", "b"]


def test_hashimoto_2017_penalty_on_changes_of_lower_levels() -> None:
    sharing = made(successive=0.5).train()
    assert not sharing(X, MASK, ["c"])["c"].penalties  # no epoch has begun
    sharing.begin_epoch(0)
    for parameter in sharing.parameters():
        parameter.data += 0.1
    count = sum(p.numel() for p in sharing.trunks["a"].parameters())
    second = (sharing.trunks["b"], sharing.inputs["b"])
    above = sum(p.numel() for module in second for p in module.parameters())
    expected = [None, 0.5 * 0.01 * count, 0.5 * 0.01 * (count + above)]
    for task, value in zip(TASKS, expected, strict=True):
        found = sharing(X, MASK, [task])[task].penalties.get("successive")
        assert value == found if value is None else found.item() == pytest.approx(value)


def test_hashimoto_2017_the_penalty_includes_embedding_heads_and_label_vectors(
    tmp_path: Path,
) -> None:
    model = hierarchy(tmp_path, successive=0.5).model.train()
    sharing = model.sharing
    sharing.begin_epoch(0)
    for parameter in model.parameters():
        parameter.data += 0.1
    count = sum(p.numel() for p in model.embedding.parameters())
    x = torch.zeros(1, 2, sharing.sizes[0])
    mask = torch.ones(1, 2, dtype=torch.bool)
    for i, task in enumerate(ORDER):
        found = sharing(x, mask, [task])[task].penalties["successive"].item()
        assert found == pytest.approx(0.5 * 0.01 * count, rel=1e-3)
        of_level = [sharing.trunks[task], model.head(task)]
        of_level += [sharing.inputs[task]] if i else []
        of_level += [model.label_vectors[task]] if task in model.label_vectors else []
        count += sum(p.numel() for module in of_level for p in module.parameters())


def test_with_one_corpus_after_the_other_the_weights_before_are_those_of_the_corpus_before(
    tmp_path: Path,
) -> None:
    corpora = {"c": corpus(tmp_path, "c", 22), "d": corpus(tmp_path, "d", 14, first=40)}
    tasks = {"pos": {"use": "c/pos"}, "verb": {"use": "d/verb"}}
    sharing = {"type": "hierarchical", "label_dim": 5, "successive": 0.1}
    made = trainer(tmp_path, tasks, corpora, sharing=sharing, mixing="sequential", epochs=2)
    steps = steps_of(made.run())
    assert [next(iter(step.tokens)) for step in steps] == 2 * (["pos"] * 6 + ["verb"] * 4)
    free = [i for i, step in enumerate(steps) if step.penalties["successive"] == 0]
    assert free == [0, 6, 10, 16]


MISTAKES = {
    r"order: unknown task 'x'; expected one of: ner, pos": ["pos", "ner", "x"],
    r"order: 'pos' occurs twice": ["pos", "ner", "pos"],
    r"order: 'ner' is missing": ["pos"],
}


@pytest.mark.parametrize(("message", "order"), MISTAKES.items())
def test_mistakes_in_the_order_are_told_before_training(
    message: str, order: list[str], tmp_path: Path
) -> None:
    tasks = {name: RUN[name] for name in ("pos", "ner")}
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, tasks, sharing={"type": "hierarchical", "order": order})


def test_a_language_model_is_the_lowest_level(tmp_path: Path) -> None:
    sentence = "the cat sat up\n" * 8
    (tmp_path / "lm.txt").write_text(sentence, encoding="utf-8")
    source = {"reader": {"type": "text"}, "files": {"train": "lm.txt"}}
    text = {"labels": {"text": "next"}, "head": {"type": "lm"}, "metric": "perplexity"}
    corpora = {"t": {**source, "tasks": {"lm": text}}}
    tasks = {"lm": {"use": "t/lm"}, "back": {"use": "t/lm"}}
    with pytest.raises(ConfigError, match="has read the word that 'back' predicts; make it the"):
        prepared(
            tmp_path, tasks, corpora, sharing={"type": "hierarchical", "order": ["lm", "back"]}
        )


def hierarchy(folder: Path, epochs: int = 3, **options: Any) -> Any:
    sharing = {"type": "hierarchical", "order": ORDER, "label_dim": 5, "successive": 0.1}
    return trainer(folder, RUN, sharing={**sharing, **options}, epochs=epochs)


def test_the_labels_of_taggers_below_are_read_and_no_others(tmp_path: Path) -> None:
    model = hierarchy(tmp_path, order=["verb", "pos", "ner"]).model
    assert {task: tuple(v.weight.shape) for task, v in model.label_vectors.items()} == {
        "pos": (5, len(model.head("pos").labels))
    }


def test_a_level_reads_the_vectors_of_labels_by_their_probabilities(tmp_path: Path) -> None:
    made = hierarchy(tmp_path)
    model = made.model.eval()
    mask = torch.tensor([[True, True, False]])
    hidden = torch.randn(1, 3, model.sharing.sizes[-1])
    found = model._expected_label("ner", [hidden], mask)
    vectors = model.label_vectors["ner"].weight
    for t in range(2):
        marginals = model.head("ner").log_probs(hidden, mask)[0, t].exp()
        expected = sum(p * vectors[:, k] for k, p in enumerate(marginals))
        torch.testing.assert_close(found[0, t], expected)
    assert not found[0, 2].any()


def test_what_stands_between_levels_and_heads_is_counted(tmp_path: Path) -> None:
    made = hierarchy(tmp_path)
    experiment, corpora = prepared(tmp_path, RUN, sharing={"type": "hierarchical", "order": ORDER})
    parameters = make_plan(experiment, corpora, made).parameters
    labels = sum(len(experiment.model.head(task).labels) for task in ("pos", "ner"))
    assert parameters["label vectors"] == 100 * labels


def test_a_task_trains_vectors_and_heads_of_those_below(tmp_path: Path) -> None:
    made = hierarchy(tmp_path)
    batch = made.loaders["c"].batch(made.batcher, 0, 0, ["verb"])
    made.model.train()(batch).losses["verb"].sum().backward()
    assert made.model.label_vectors["ner"].weight.grad.any()  # of a CRF, which gets none itself
    assert made.model.head("pos").output.weight.grad.any()


def test_a_run_trains(tmp_path: Path) -> None:
    first, *_, last = epochs_of(hierarchy(tmp_path, epochs=20).run())
    assert sum(last.losses.values()) < 0.7 * sum(first.losses.values())


def test_epochs_begin_without_a_penalty(tmp_path: Path) -> None:
    steps = steps_of(hierarchy(tmp_path).run())
    firsts = [own for own in steps if own.step == 0 or own.epoch > steps[own.step - 1].epoch]
    assert [step.penalties["successive"] for step in firsts] == [0.0, 0.0, 0.0]
    assert all(step.penalties["successive"] > 0 for step in steps if step not in firsts)


def test_the_greater_delta_the_less_weights_move(tmp_path: Path) -> None:
    moved = []
    for successive in (0.0, 1.0, 100.0):
        made = hierarchy(tmp_path, epochs=1, successive=successive)
        before = [p.detach().clone() for p in made.model.sharing.shared_parameters()]
        list(made.run())
        after = made.model.sharing.shared_parameters()
        moved.append(sum((a - b).norm().item() for a, b in zip(after, before, strict=True)))
    assert all(far > near for far, near in pairwise(moved))

"""Options that have no effect in a run are errors or notes of the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtl.errors import ConfigError
from mtl.experiment import load_config, make_trainer
from mtl.experiment.plan import make_plan
from tests.training.runs import RUN, corpus, prepared

TASKS = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
RELATED = {"type": "soft", "penalty": "relationship", "strength": 1e-5}
LEVELS = {"type": "hierarchical", "order": ["verb", "pos"]}


def notes(folder: Path, tasks: dict[str, Any] = TASKS, **options: Any) -> list[str]:
    experiment, corpora = prepared(folder, tasks, **options)
    return make_plan(experiment, corpora, make_trainer(experiment, corpora)).notes


@pytest.mark.parametrize(
    ("options", "epochs", "enough", "start"),
    [
        ({"weighting": "dwa"}, 2, 3, "weighting: weights follow the losses of two finished"),
        ({"sharing": RELATED}, 1, 2, "sharing: the covariance of 'relationship' is learned"),
        ({"average": {"type": "asgd", "trigger": 2}}, 4, 5, "training.average: the average begins"),
        ({"mixing": "annealed"}, 1, 2, "training.mixing: the run has 1 epoch"),
        ({"mixing": "progress"}, 1, 2, "training.mixing: the run has 1 epoch"),
        ({"schedule": {"warmup": 40}}, 4, 14, "training.schedule: the warm-up of 40 steps is"),
    ],
)
def test_an_option_that_a_short_run_never_reaches_is_noted(
    options: dict[str, Any], epochs: int, enough: int, start: str, tmp_path: Path
) -> None:
    options = {"schedule": {"warmup": 0}, **options}
    short = notes(tmp_path, epochs=epochs, **options)
    assert [note for note in short if note.startswith(start)]
    assert not [n for n in notes(tmp_path, epochs=enough, **options) if n.startswith(start)]


def test_levels_without_labels_of_tokens_are_noted(tmp_path: Path) -> None:
    start = "sharing: levels read predicted labels of tokens"
    assert [note for note in notes(tmp_path, sharing=LEVELS) if note.startswith(start)]
    for other in ({"label_dim": 0}, {"order": ["pos", "verb"]}):
        assert not [n for n in notes(tmp_path, sharing=LEVELS | other) if n.startswith(start)]


def test_a_ramp_beyond_the_run_is_noted_with_the_strength_that_it_reaches(tmp_path: Path) -> None:
    adversary = {"type": "domain", "ramp": 1000}
    corpora = {name: corpus(tmp_path, name, 22) for name in "cd"}
    tasks = {
        "pos": {"use": "c/pos"},
        "verb": {"use": "c/verb", "head": adversary},
        "other": {"use": "d/verb", "head": "verb"},
    }
    found = notes(tmp_path, tasks, corpora=corpora, epochs=10)
    (note,) = [note for note in found if note.startswith("tasks.verb.head")]
    # 22 sentences, 4 per batch: 6 batches of each corpus; tanh(5 · 120 / 1000) = 0.54
    assert note == (
        "tasks.verb.head: the ramp of 1,000 batches is longer than the run of 120; λ reaches only "
        "54% of its strength"
    )


@pytest.mark.parametrize("option", [{"connections": "highway"}, {"sum_layers": True}])
def test_links_between_layers_need_two_layers(option: dict[str, Any], tmp_path: Path) -> None:
    trunk = {**RUN["trunk"], "num_layers": 1, **option}
    with pytest.raises(ConfigError, match=r"has no effect unless num_layers is at least 2"):
        prepared(tmp_path, TASKS, trunk=trunk)
    prepared(tmp_path, TASKS, trunk={**trunk, "num_layers": 2})


def test_a_distance_between_corpora_is_refused(tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 22) for name in "cd"}
    tasks: dict[str, Any] = {
        "pos": {"use": "c/pos"},
        "verb": {"use": "c/verb", "head": {"type": "domain_distance"}},
        "other": {"use": "d/verb", "head": "verb"},
    }
    message = r"run.yaml:\d+:\d+: .* a batch are from one corpus, here c or d, so "
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, tasks, corpora)
    # A batch has several domains if it has both corpora, or with the tasks of one corpus.
    prepared(tmp_path, tasks, corpora, mixing={"type": "joint", "one_batch": True})
    prepared(tmp_path, {**tasks, "other": {"use": "d/pos"}}, corpora)
    # The folders of earlier runs still load.
    run = tmp_path / "run.yaml"
    assert load_config(
        run, {"tasks.other.use": "d/verb", "tasks.other.head": "verb"}, must_exist=False
    )


def test_a_copy_of_random_vectors_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUN, "embedding", {"words": {"dim": 8, "multichannel": True}})
    assert (
        "embedding.words: multichannel keeps a copy of random vectors, since no vectors are given"
        in notes(tmp_path)
    )


def test_a_dropout_without_a_place_is_noted(tmp_path: Path) -> None:
    start = "trunk: dropout has no effect, since the only layer reads token vectors with input"
    single = {**RUN["trunk"], "num_layers": 1, "input_dropout": 0.1}
    assert [note for note in notes(tmp_path, trunk=single) if note.startswith(start)]
    for change in ({"num_layers": 2}, {"feed_forward": 4}, {"input_dropout": None}):
        found = notes(tmp_path, trunk=single | change)
        assert not [note for note in found if "dropout" in note]


@pytest.mark.parametrize(("line", "noted"), [("the\t0.5\n", True), ("the\n", False)])
def test_a_width_for_lists_of_numbers_is_noted(
    line: str, noted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.txt").write_text(line)
    lists = {"lists": {"own": str(tmp_path / "list.txt")}, "dim": 3}
    monkeypatch.setitem(RUN, "embedding", {**RUN["embedding"], "gazetteers": lists})
    note = "embedding.gazetteers: dim has no effect, since all lists have numbers; leave it out"
    assert (note in notes(tmp_path)) == noted


def test_words_beyond_a_chunk_are_not_predicted(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the cat sat up\n" * 20)
    data = {
        "reader": {"type": "text"},
        "files": {"train": str(tmp_path / "text.txt")},
        "tasks": {"next": {"labels": {"text": "next"}, "head": "lm", "metric": "perplexity"}},
    }
    tasks = {"next": {"use": "t/next", "head": {"ahead": 7}}}
    batch = {"batch": {"streams": 2, "bptt": 6}}
    message = r"tasks.next.head.ahead: expected at most the number of words per chunk, bptt \(6\)"
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, tasks, {"t": data}, **batch)
    tasks["next"]["head"] = {"ahead": 6}
    prepared(tmp_path, tasks, {"t": data}, **batch)


def test_small_corpora_have_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUN, "training", {**RUN["training"], "batch": None})
    corpora = {name: corpus(tmp_path, name, n) for name, n in (("c", 40), ("d", 3000))}
    experiment, found = prepared(tmp_path, {"pos": TASKS["pos"], "v": {"use": "d/verb"}}, corpora)
    loaders = make_trainer(experiment, found).loaders
    assert {name: loader.size for name, loader in loaders.items()} == {"c": 5, "d": 150}


def test_a_unit_of_the_loss_needs_labels_of_tokens(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training.loss_unit: has no effect on labels of sent"):
        prepared(tmp_path, {"verb": TASKS["verb"]}, loss_unit="sentence")
    prepared(tmp_path, TASKS, loss_unit="sentence")


def test_patience_of_a_task_without_a_dev_set_is_noted_beside_others(tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 22) for name in ("c", "d")}
    del corpora["d"]["files"]["dev"]
    tasks = {"pos": {"use": "c/pos", "patience": 2}, "verb": {"use": "d/verb", "patience": 2}}
    found = [note for note in notes(tmp_path, tasks, corpora=corpora) if "patience" in note]
    assert len(found) == 1
    assert found[0].startswith("tasks.verb.patience: no effect without a dev score")


def test_patience_without_a_dev_set_is_noted_with_a_remedy(tmp_path: Path) -> None:
    data = corpus(tmp_path, "c", 22)
    data["files"] = {"train": data["files"]["train"]}
    tasks = {"pos": {**TASKS["pos"], "patience": 2}, "verb": TASKS["verb"]}
    start = "training.patience, tasks.pos.patience: no effect without a dev score; set `splits`"
    found = notes(tmp_path, tasks, corpora={"c": data}, patience=3)
    assert [note for note in found if note.startswith(start)]
    split = {"c": {**data, "splits": {"dev": "20%"}}}
    assert not [n for n in notes(tmp_path, tasks, corpora=split, patience=3) if "patience" in n]
    found = notes(tmp_path, TASKS, corpora={"c": data})
    assert not [note for note in found if "patience" in note]

"""Tasks whose labels follow from the words, from the run file to predictions."""

from __future__ import annotations

import json
from collections import Counter
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch

import mtl
from mtl.analysis.relations import entropy, relate
from mtl.errors import ConfigError
from mtl.experiment import load_config
from mtl.runs.checkpoint import load_training, save_training
from mtl.targets import FrequencyTarget
from mtl.training.events import Epoch
from mtl.training.state import restore_training_state, training_state
from tests.cli.command import mtl as command
from tests.training.runs import CORPUS, corpus, prepared, sentence, steps_of, trainer

SOFTMAX = {"head": {"type": "softmax"}, "metric": "accuracy"}
LM = {"head": {"type": "lm"}, "metric": "perplexity"}
OFFERED = {
    **CORPUS["tasks"],
    "frequency": {"labels": {"word": "frequency"}, **SOFTMAX},
    "numbered": {"labels": {"hint": {"pattern": "[0-9]"}}, **SOFTMAX},
    "ada": {
        "labels": {"hint": {"pattern": "^Ada$", "level": "sentence"}},
        "head": {"type": "pool"},
        "metric": "f1",
    },
    "same": {"labels": {"text": "same"}, **LM},
    "next": {"labels": {"text": "next"}, **LM},
}
TASKS = {name: {"use": f"c/{name}"} for name in ("pos", "frequency", "numbered", "ada", "same")}
POS = {"metric": "pos.accuracy"}


def made(folder: Path, **changes: Any) -> dict[str, Any]:
    return {"c": {**corpus(folder, "c", 22), "tasks": OFFERED, **changes}}


def bins_of_text() -> dict[str, int]:
    """Return the bin of each word of the training text, counted anew."""
    counts = Counter(word for i in range(22) for word in sentence(i)["tokens"])
    return {word: int(log(count)) for word, count in counts.items()}


def test_bins_of_all_splits_come_from_the_counts_of_the_training_text(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, TASKS, made(tmp_path), **POS)
    expected = bins_of_text()
    bins = experiment.batcher.targets["frequency"]
    dev = corpora["c"].splits["dev"]
    words = [word for example in dev for word in example.tokens]
    read = [label for example in dev for label in bins.comparable(example.labels["frequency"])]
    assert read == [str(expected[word]) for word in words]
    assert read != [str(int(log(words.count(word)))) for word in words]
    assert bins.comparable(("unheard",)) == ("0",)


def test_a_batch_holds_the_bins_and_hints_of_its_words(tmp_path: Path) -> None:
    experiment, corpora = prepared(tmp_path, TASKS, made(tmp_path), **POS)
    (example,) = corpora["c"].splits["train"].examples([3])
    targets = experiment.batcher.batch([example], [*TASKS]).targets
    words = sentence(3)["tokens"]
    assert targets["frequency"][0].tolist() == [bins_of_text()[word] for word in words]
    assert targets["numbered"][0].tolist() == [int(word == "w3") for word in words]
    assert targets["ada"].tolist() == [int("Ada" in words)]
    known = experiment.vocabularies["words"]
    assert targets["same"][0].tolist() == [known.encode(word)[0] for word in words]


def test_splits_that_are_cut_from_the_text_are_not_counted(tmp_path: Path) -> None:
    changes = {"files": {"train": "c-train.jsonl"}, "splits": {"test": 6}}
    experiment, corpora = prepared(tmp_path, TASKS, made(tmp_path, **changes))
    counts = corpora["c"].splits["train"].word_counts()
    expected = {word: int(log(count)) for word, count in counts.items() if count > 2}
    assert experiment.batcher.targets["frequency"] == FrequencyTarget(expected)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> mtl.TrainedModel:
    """Return a trained model of all these tasks."""
    folder = tmp_path_factory.mktemp("auxiliary")
    prepared(folder, TASKS, made(folder), epochs=12, **POS)
    return mtl.train(folder / "run.yaml", output=folder / "run")


def test_they_are_learnt(model: mtl.TrainedModel) -> None:
    scores = model.evaluate("dev").scores()
    assert scores["frequency"]["accuracy"] > 0.9
    assert scores["numbered"]["accuracy"] == 1
    assert scores["same"]["perplexity"] < len(bins_of_text()) / 2  # by chance: the number of words


def test_predictions_leave_them_out_unless_they_are_named(model: mtl.TrainedModel) -> None:
    assert model.selection.labelling() == ["pos"]
    assert set(model.predict(["the cat"])) == {"pos"}
    found = model.predict([["w7", "the"]], ["numbered", "frequency"])
    assert found == {"numbered": [["yes", "no"]], "frequency": [["0", found["frequency"][0][1]]]}


def test_programs_leave_them_out_too(model: mtl.TrainedModel, tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    assert (
        command("export", str(model.folder), "--to", "torch-export", "--output", str(path)).code
        == 0
    )
    assert [*json.loads(path.with_suffix(".json").read_text())["tasks"]] == ["pos"]


def test_another_file_is_scored_by_the_counts_of_training(
    model: mtl.TrainedModel, tmp_path: Path
) -> None:
    file = tmp_path / "other.jsonl"
    file.write_text(json.dumps({"tokens": ["the", "w3", *["new"] * 60], "pos": ["D"] * 62}))
    found = model.evaluate("dev", ["frequency"], data={"c": file})
    rows = found.metrics["frequency"].per_label()
    assert {label: row["support"] for label, row in rows.items() if row["support"]} == {
        "0": 61,
        str(bins_of_text()["the"]): 1,
    }


def test_training_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer(tmp_path, TASKS, made(tmp_path), **POS)
    expected = [step.losses for step in steps_of(whole.run()) if step.epoch]
    first = trainer(tmp_path, TASKS, made(tmp_path), **POS)
    next(e for e in first.run() if isinstance(e, Epoch) and e.epoch == 0)
    save_training(tmp_path, *training_state(first))
    second = trainer(tmp_path, TASKS, made(tmp_path), **POS)
    restore_training_state(second, *load_training(tmp_path))
    assert [step.losses for step in steps_of(second.run())] == expected
    state = whole.model.state_dict()
    assert all(torch.equal(state[n], v) for n, v in second.model.state_dict().items())


def test_relations_are_told_by_the_bins_of_words(tmp_path: Path) -> None:
    prepared(tmp_path, {name: TASKS[name] for name in ("pos", "frequency")}, made(tmp_path))
    found = relate(tmp_path / "run.yaml", output=tmp_path / "out", epochs=1, seeds=1)
    labels = Counter(bins_of_text()[word] for i in range(22) for word in sentence(i)["tokens"])
    traits = found.traits["frequency"]
    assert (traits.sentences, traits.labels) == (22, len(labels))
    assert traits.entropy == pytest.approx(entropy(list(labels.values())))


@pytest.mark.parametrize("bidirectional", [True, False, "interleaved"])
def test_an_auto_encoder_reads_all_of_any_trunk(bidirectional: Any, tmp_path: Path) -> None:
    trunk = {"type": "lstm", "num_layers": 2, "hidden_size": 8, "bidirectional": bidirectional}
    tasks = {"same": {"use": "c/same"}}
    experiment, _ = prepared(tmp_path, tasks, made(tmp_path), trunk=trunk)
    width = experiment.model.sharing.sizes[-1]
    assert experiment.model.head("same").in_features == width
    assert "same" not in experiment.model.columns


def test_an_auto_encoder_gives_the_words_of_streams_back(tmp_path: Path) -> None:
    setup = {"batch": {"streams": 2, "bptt": 6}}
    tasks = {"same": {"use": "c/same"}, "next": {"use": "c/next"}}
    own = trainer(tmp_path, tasks, made(tmp_path), **setup)
    for example in own.loaders["c"].examples(0, 0):
        assert example.labels["same"] == example.tokens
        assert example.labels["next"][:-1] == example.tokens[1:]


MISTAKES = {
    "a language model's head for hints": (
        {"numbered": {"use": "c/numbered", "head": {"type": "lm"}}},
        "tasks.numbered.head: 'lm' is for tasks with `labels: {text: next}`",
    ),
    "a tagger that gives words back": (
        {"same": {"use": "c/same", "head": {"type": "softmax"}}},
        "tasks.same.head: the labels are words of the text; use the head 'lm'",
    ),
    "frequencies beside labels in one head": (
        {"pos": TASKS["pos"], "frequency": {"use": "c/frequency", "head": "pos"}},
        "tasks.frequency.head: the labels are word frequencies, the labels of 'pos' are labels",
    ),
    "a classifier for labels of words": (
        {"numbered": {"use": "c/numbered", "head": {"type": "pool"}}},
        "tasks.numbered.head: 'pool' predicts one value per sentence, "
        "but the data has one per token",
    ),
}


@pytest.mark.parametrize(("tasks", "message"), MISTAKES.values(), ids=MISTAKES)
def test_heads_that_do_not_fit(tasks: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, tasks, made(tmp_path))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        ({"pattern": "^x$"}, "tasks.h: with the pattern '^x$' every word of the training data is"),
        ({"pattern": ".", "level": "sentence"}, "tasks.h: with the pattern '.' every sentence of "
         "the training data is 'yes', so there is nothing to learn; correct it"),
        ({"lexicon": "names.txt"}, "names.txt every word of the training data is 'no', so "
         "there is nothing to learn; correct it (one word per line) or leave the task out"),
    ],
)  # fmt: skip
def test_a_hint_that_says_always_the_same_is_a_mistake(
    hint: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("Ada\t0.5\nBob\t0.1\n")
    head = OFFERED["ada" if "level" in hint else "numbered"]
    offered = {"h": {**head, "labels": {"hint": hint}}}
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, {"h": {"use": "c/h"}}, made(tmp_path, tasks=offered))
    assert message in str(error.value)


def test_a_hint_found_in_one_of_the_corpora_of_a_head_is_none(tmp_path: Path) -> None:
    both = {**made(tmp_path), "d": {**corpus(tmp_path, "d", 5, first=30), "tasks": OFFERED}}
    rare = {"labels": {"hint": {"pattern": "^w3$"}}, **SOFTMAX}
    for own in both.values():
        own["tasks"] = {"rare": rare}
    tasks = {"rare": {"use": "c/rare"}, "never": {"use": "d/rare", "head": "rare"}}
    experiment, _ = prepared(tmp_path, tasks, both)
    assert experiment.targets["rare"].labels == ("no", "yes")


def test_a_run_folder_needs_no_lexicon_to_predict(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("Ada\n")
    named = {"labels": {"hint": {"lexicon": "names.txt"}}, **SOFTMAX}
    tasks = {"named": {"use": "c/named"}}
    prepared(tmp_path, tasks, made(tmp_path, tasks={"named": named}), epochs=1)
    model = mtl.train(tmp_path / "run.yaml", output=tmp_path / "run")
    (tmp_path / "names.txt").unlink()
    assert load_config(model.folder / "run.yaml", must_exist=False).tasks["named"].source.hint
    assert mtl.load(model.folder).selection.labelling() == ["named"]

"""Sentences with sets of labels and with numbers, from the corpus file to `mtl predict`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mtl.runs.checkpoint import load_tensors
from tests.cli.command import assert_refused, mtl

TOPICS = {"art": ["opera", "poem"], "food": ["soup", "bread"], "sport": ["goal", "race"]}
WORDS = {"awful": 1, "poor": 2, "fine": 3, "good": 4, "great": 5}
CORPUS = """\
reader: {type: csv}
files: {train: ../train.csv, dev: ../dev.csv, test: ../test.csv}
tasks:
  topics:
    labels: {column: topics, form: set, separator: ;}
    head: {type: pool}
    metric: set_f1
  rating: {labels: {column: rating, form: number}, head: {type: attention}, metric: pearson}
"""
RUN = """\
embedding: {words: {dim: 16}}
trunk: {type: lstm, num_layers: 1, hidden_size: 16, bidirectional: true}
tasks:
  topics: {use: talk/topics}
  rating: {use: talk/rating}
training: {epochs: 10, batch: {sentences: 8}, optimizer: {type: adam, lr: 0.02}}
"""


def talk(count: int, seed: int) -> str:
    """Return sentences about some topics, or none, in which one word rates them."""
    rng = random.Random(seed)
    rows = ["text,topics,rating"]
    for number in range(count):
        topics = [topic for topic in TOPICS if rng.random() < 0.4]
        word = rng.choice(list(WORDS))
        about = " and ".join(rng.choice(TOPICS[topic]) for topic in topics)
        rating = "" if number % 7 == 6 else WORDS[word]
        rows.append(f"A {word} {about} .,{';'.join(topics)},{rating}")
    return "\n".join(rows) + "\n"


def write(folder: Path) -> None:
    """Write the project into a folder."""
    (folder / "tasks").mkdir()
    (folder / "tasks/talk.yaml").write_text(CORPUS)
    (folder / "run.yaml").write_text(RUN)
    for seed, (split, count) in enumerate({"train": 80, "dev": 20, "test": 20}.items()):
        (folder / f"{split}.csv").write_text(talk(count, seed))


@pytest.fixture
def talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a small project, in which the test runs."""
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a run folder that no test changes."""
    folder = tmp_path_factory.mktemp("talk")
    write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl("train", "run.yaml")
    assert result.code == 0, result.err
    return str(folder / "runs/run")


def test_both_are_learnt(model: str) -> None:
    scores = json.loads(mtl("evaluate", model, "--json").out)
    names = ["set_f1", "macro_f1", "subset_accuracy"]
    assert list(scores["topics"]) == [*names, "per_label", "confusion"]
    assert list(scores["rating"]) == ["pearson", "spearman"]
    assert scores["topics"]["set_f1"] > 0.8
    assert scores["rating"]["pearson"] > 0.8


def test_predictions_are_lists_and_numbers_in_json(model: str) -> None:
    text = "A great soup and goal .\nA awful .\n"
    found = mtl("predict", model, "--format", "jsonl", stdin=text).out.splitlines()
    first, second = map(json.loads, found)
    assert (first["topics"], second["topics"]) == (["food", "sport"], [])
    assert first["rating"] == pytest.approx(5, abs=1)
    assert second["rating"] == pytest.approx(1, abs=1)


def test_predictions_are_comments_in_columns(model: str) -> None:
    lines = mtl("predict", model, stdin="A great soup and goal .\n").out.splitlines()
    assert lines[2] == "# topics = food, sport"
    assert float(lines[3].removeprefix("# rating = ")) == pytest.approx(5, abs=1)


def test_thresholds_are_those_of_the_best_epoch(model: str) -> None:
    lines = Path(model, "metrics.jsonl").read_text().splitlines()
    best = [r for r in map(json.loads, lines) if r["type"] == "epoch" and r["improved"]][-1]
    found = json.loads(mtl("evaluate", model, "--split", "dev", "--json").out)
    assert found["topics"].items() >= best["dev"]["topics"].items()
    assert found["rating"] == best["dev"]["rating"]
    thresholds = load_tensors(Path(model, "model.safetensors"))["heads.topics.objective.thresholds"]
    assert thresholds.shape == (3,)


def test_without_a_development_set_thresholds_are_a_half(talks: Path) -> None:
    path = talks / "tasks/talk.yaml"
    path.write_text(path.read_text().replace("dev: ../dev.csv, ", ""))
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    tensors = load_tensors(talks / "runs/run/model.safetensors")
    assert tensors["heads.topics.objective.thresholds"].tolist() == [0.5] * 3


def test_a_run_goes_on_as_if_it_had_not_stopped(talks: Path) -> None:
    assert mtl("train", "run.yaml", "training.epochs=4", "--output", "whole").code == 0
    assert mtl("train", "run.yaml", "training.epochs=2", "--output", "cut").code == 0
    assert mtl("train", "run.yaml", "training.epochs=4", "--output", "cut", "--resume").code == 0
    whole, cut = (load_tensors(Path(name, "model.safetensors")) for name in ("whole", "cut"))
    assert all(tensor.equal(cut[name]) for name, tensor in whole.items())


def test_the_plan_says_what_sentences_have(talks: Path) -> None:
    lines = mtl("check", "run.yaml").out.splitlines()
    assert "task topics: talk/topics, head pool, last layer, any of 3 labels" in lines
    (numbers,) = (line for line in lines if line.startswith("task rating"))
    assert ", numbers, mean 2.855" in numbers


IN_THE_CORPUS = {
    "a metric of other labels": ("metric: set_f1", "metric: f1", "run.yaml:4:11: "
        "tasks.topics.metric: 'f1' is not for sets; use one of: set_f1"),
    "a metric of numbers": ("metric: set_f1", "metric: pearson", "run.yaml:4:11: "
        "tasks.topics.metric: 'pearson' is not for sets; use one of: set_f1"),
    "a tagger": ("type: pool", "type: crf", "run.yaml:4:11: tasks.topics.head: the labels are "
        "sets; use one of: attention, cnn, deep_cnn, hierarchical, pool"),
    "a separator of one label": ("form: set, ", "", "tasks/talk.yaml:5:41: "
        "tasks.topics.labels.separator: expected a non-blank separator, and a form of set, "
        "soft, token_set, partial"),
    "an unknown form": ("form: set", "form: sets", "tasks/talk.yaml:5:36: "
        "tasks.topics.labels.form: expected 'label', 'set', 'number', 'soft', 'token_set', "
        "'token_number' or 'partial', got 'sets'; did you mean 'set'?"),
    "a set of the text": ("column: topics", "text: next", "tasks/talk.yaml:5:32: "
        "tasks.topics.labels.form: a set needs `column` or `metadata`, got `text`"),
    "spans": ("    metric: set_f1", "    metric: set_f1\n    scheme: bio", "tasks/talk.yaml:8:13: "
        "tasks.topics.scheme: spans need `form: label` or `form: "
        "partial`, got `form: set`; remove it"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), IN_THE_CORPUS.values(), ids=IN_THE_CORPUS)
def test_a_mistake_in_the_corpus_file(talks: Path, old: str, new: str, message: str) -> None:
    path = talks / "tasks/talk.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    result = mtl("train", "run.yaml")
    assert_refused(result, message)


def test_a_head_that_is_shared_with_another_form(talks: Path) -> None:
    result = mtl("train", "run.yaml", "tasks.rating.head=topics")
    message = "command line: tasks.rating.head=topics: tasks.rating.head: the labels are numbers, "
    assert_refused(result, f"{message}the labels of 'topics' are sets; give the task its own head")


def test_no_number_in_the_training_data(talks: Path) -> None:
    path = talks / "train.csv"
    path.write_text("text,topics,rating\nA poem .,art,\n")
    message = "tasks.rating: no sentence of the training data is labelled for it"
    assert_refused(mtl("train", "run.yaml"), message)


def test_sets_that_are_all_empty(talks: Path) -> None:
    (talks / "train.csv").write_text("text,topics,rating\nA poem .,,3\n")
    assert_refused(
        mtl("train", "run.yaml"), "tasks.topics: all sets of the training data are empty"
    )


def test_a_number_that_is_none_is_told_with_its_line(talks: Path) -> None:
    path = talks / "train.csv"
    path.write_text("text,topics,rating\nA poem .,art,3\nA goal .,sport,three\n")
    message = "task 'rating': expected a number, found 'three'; leave it empty if it is unknown"
    assert_refused(mtl("train", "run.yaml"), f"{path}:3: {message}")

"""`mtl train` and what it leaves behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.command import mtl
from tests.cli.records import records, scores


def test_a_run_folder_has_all_its_files(trained: Path) -> None:
    names = {path.name.partition(".out.")[0] for path in trained.iterdir()}
    assert names == {
        "run.yaml",
        "checksums.txt",
        "vocabulary",
        "model.safetensors",
        "checkpoint",
        "metrics.jsonl",
        "log.txt",
        "events",
    }
    assert not list(trained.rglob("*.tmp"))


def test_the_tasks_are_learnt_together(trained: Path) -> None:
    assert max(scores("pos", "accuracy", trained)) > 0.95
    assert max(scores("ner", "span_f1", trained)) > 0.95
    assert max(scores("mood", "accuracy", trained)) == 1


def test_the_end_says_what_to_type_next(project: Path) -> None:
    result = mtl("train", "run.yaml", "training.epochs=1", "--output", "out")
    lines = ["model: out", "next:  mtl evaluate out", "then:  mtl calibrate out"]
    assert result.out.splitlines() == lines
    assert "epoch 1/1  " in result.err


def test_the_same_seed_gives_the_same_run(project: Path) -> None:
    for name in ("a", "b"):
        assert mtl("train", "run.yaml", "--output", name).code == 0
    assert mtl("train", "run.yaml", "--output", "c", "seed=2").code == 0
    assert records(Path("a")) == records(Path("b")) != records(Path("c"))
    a, b = (Path(name, "model.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_the_run_file_of_a_run_folder_repeats_it(project: Path) -> None:
    assert mtl("train", "run.yaml", "training.epochs=1", "seed=5").code == 0
    assert mtl("train", "runs/run/run.yaml", "--output", "again").code == 0
    assert records(Path("again")) == records(Path("runs/run"))


VARIANTS = {
    "two label columns of one file": ["tasks.mood=null"],
    "one task": ["tasks.pos=null", "tasks.mood=null"],
    "a learned mix of layers": ["tasks.ner.layer=mix", "trunk.num_layers=2"],
    "options of single tasks": [
        "tasks.ner={lr: 0.01, weight: 0.5, sampling: 2, patience: 1, batch: {sentences: 4}}",
        "tasks.mood={batch: {max_tokens: 50}, head: {type: cnn, maps: 4}}",
    ],
    "joint steps": ["training.mixing=joint"],
    "subwords, n-grams and affixes": ["embedding={subwords: {}, ngrams: {}, affixes: {}}"],
    "an average of the weights": ["training.average=0.9"],
    "interleaved directions": ["trunk.bidirectional=interleaved", "trunk.num_layers=2"],
    "no clipping": ["training.clip_norm=null", "training.optimizer=sgd"],
    "folds": ["corpora.mood={folds: {count: 4, fold: 3}, files: {dev: null}}"],
    "splits": ["corpora.mood={splits: {dev: 10%, test: 5}, files: {dev: null}}"],
    "no dev split": ["corpora.mood.files.dev=null", "corpora.news.files.dev=null"],
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_runs_of_many_kinds_train_evaluate_and_predict(project: Path, overrides: list[str]) -> None:
    result = mtl("train", "run.yaml", "training.epochs=1", *overrides)
    assert result.code == 0, result.err
    assert mtl("evaluate", "runs/run", "--split", "train").code == 0
    predicted = mtl("predict", "runs/run", "--format", "jsonl", stdin="Ann left Rome.\n")
    assert json.loads(predicted.out)["tokens"] == ["Ann", "left", "Rome", "."]


def test_a_corpus_has_batches_and_a_share_of_its_own(project: Path) -> None:
    options = "tasks.ner={batch: {sentences: 4}, sampling: 2}"
    result = mtl("train", "run.yaml", "training.epochs=1", options)
    assert "batches of news: 10 per pass, 20 in the first epoch" in result.err
    assert "batches of mood: 5 per pass\n" in result.err


def test_a_head_has_a_learning_rate_of_its_own(project: Path) -> None:
    heads = []
    for epochs in (1, 2):
        mtl(
            "train",
            "run.yaml",
            f"training.epochs={epochs}",
            "tasks.ner.lr=1e-30",
            "--output",
            f"{epochs}",
        )
        heads.append(load_file(f"{epochs}/checkpoint/epoch-{epochs}.safetensors"))
    same = {name for name in heads[0] if torch.equal(heads[0][name], heads[1][name])}
    assert {name.split(".")[2] for name in same if name.startswith("model.heads")} == {"ner"}


def test_a_task_whose_patience_is_out_rests(project: Path) -> None:
    command = ["train", "run.yaml", "training.epochs=12", "tasks.mood.patience=1"]
    result = mtl(*command)
    resting = [r["resting"] for r in records(Path("runs/run")) if r["type"] == "epoch"]
    assert resting[0] == []
    assert resting[-1] == ["mood"]
    assert "mood (stopped)" in result.err


def test_patience_ends_a_run(project: Path) -> None:
    options = ["training.epochs=40", "training.patience=2", "tasks.ner=null"]
    result = mtl("train", "run.yaml", *options)
    means = [r["score"] for r in records(Path("runs/run")) if r["type"] == "epoch"]
    assert len(means) < 40
    assert means.index(max(means)) == len(means) - 3
    reason = f"no better dev score than in epoch {len(means) - 2}, training.patience is 2 epochs"
    assert f"ended after epoch {len(means)} of 40: {reason}" in result.err


def test_a_head_is_shared_by_tasks_with_labels_in_another_order(project: Path) -> None:
    lines = Path("data/train.txt").read_text().split("\n\n")
    Path("data/other.txt").write_text("\n\n".join(reversed(lines)))
    Path("tasks/other.yaml").write_text(
        Path("tasks/news.yaml").read_text().replace("train.txt", "other.txt")
    )
    shared = "tasks.second={use: other/ner, head: ner}"
    result = mtl("train", "run.yaml", "training.epochs=1", shared, "tasks.mood=null")
    assert result.code == 0, result.err
    assert "task second: other/ner, head of ner, last layer, 9 labels" in result.err
    labels = json.loads(Path("runs/run/vocabulary/labels.json").read_text())
    assert set(labels) == {"ner", "pos"}


def test_sentences_may_lack_the_labels_of_a_task(project: Path) -> None:
    first, *rest = Path("data/train.txt").read_text().split("\n\n")
    bare = "\n".join(f"{row.rpartition(' ')[0]} _" for row in first.splitlines())
    Path("data/train.txt").write_text("\n\n".join([bare, *rest]))
    result = mtl("train", "run.yaml", "training.epochs=1")
    assert result.code == 0, result.err
    labels = json.loads(Path("runs/run/vocabulary/labels.json").read_text())["ner"]["labels"]
    assert "B-_" not in labels
    assert len(labels) == 9


def test_labels_that_training_never_saw_are_counted_as_errors(project: Path) -> None:
    text = Path("data/test.txt").read_text()
    Path("data/test.txt").write_text(text.replace("VBD", "XYZ"))
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0
    result = mtl("evaluate", "runs/run")
    assert result.code == 0
    assert "do not occur in train, counted as errors: XYZ (10)" in result.out


def test_a_long_document_is_read_in_windows(project: Path) -> None:
    rows = Path("data/train.txt").read_text().replace("\n\n", "\n")
    Path("data/train.txt").write_text(rows)
    small = ["training.max_length=20", "training.overlap=4", "training.epochs=1"]
    result = mtl("train", "run.yaml", *small)
    words = len(rows.splitlines())
    more = -(-(words - 20) // 16)
    note = f"note: news: additional windows, for sentences of more than 20 tokens: {more}\n"
    assert note in result.err
    found = mtl("predict", "runs/run", "data/train.txt", "--input", "conll", "--task", "pos")
    tokens = [line.split("\t")[0] for line in found.out.splitlines() if "\t" in line]
    assert tokens == [row.split()[0] for row in rows.splitlines()]


def test_what_it_does_without_a_dev_split_is_said(project: Path) -> None:
    files = ["corpora.mood.files.dev=null", "corpora.news.files.dev=null"]
    result = mtl("train", "run.yaml", *files)
    assert "note: no task has a dev score: the last epoch is saved" in result.err
    assert "epoch 2/2  " in result.err
    assert "best\n" not in result.err


def test_the_advice_after_a_divergence_works(project: Path) -> None:
    result = mtl("train", "run.yaml", "training.optimizer.lr=1e30")
    assert result.code == 2
    assert result.err.endswith(
        "Train again with a lower training.optimizer.lr. Before you train again, remove runs/run, "
        "or choose another --output\n"
    )
    shutil.rmtree("runs/run")
    assert mtl("train", "run.yaml", "training.epochs=1").code == 0

"""`mtl audit` and `mtl correct`: wrong labels are found, shown, and corrected in copies."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from mtl.analysis.audit.audit import Audit, AuditedTask
from mtl.analysis.audit.issues import Issue
from mtl.cli.audit import print_audit
from tests.cli import project as small
from tests.cli.command import assert_told, mtl, start

COMMAND = ("audit", "run.yaml", "training.epochs=8", "--folds", "2", "--output")
PLANTED = 3
"""The sentence whose first word is left out of its span, and has the part of speech of a verb."""


def write(folder: Path) -> None:
    """Write a project with two wrong labels."""
    small.write(folder)
    train = folder / "data" / "train.txt"
    sentences = train.read_text().split("\n\n")
    name, _, rest = sentences[PLANTED].partition("\n")
    sentences[PLANTED] = f"{name.split()[0]} VBD O\n{rest}"
    train.write_text("\n\n".join(sentences))


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project after `mtl audit` with the output folder `out`."""
    folder = tmp_path_factory.mktemp("audited")
    write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl(*COMMAND, "out", "--top", "3", "--html", "page.html")
        Path("told").write_text(result.err)
        Path("printed").write_text(result.out)
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def _there(audited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(audited)


def lines(folder: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "audit.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("_there")
def test_planted_errors_come_first() -> None:
    for task, given in (("ner", "PER: Smith"), ("pos", "VBD")):
        first = next(own for own in lines() if own["task"] == task)
        assert (first["sentence"], first["start"], first["given"]) == (PLANTED, 0, given)
        assert first["line"] == sum(len(own.split("\n")) + 1 for own in _sentences()[:PLANTED]) + 1
    scores = [own["score"] for own in lines()]
    assert scores == sorted(scores)


def _sentences() -> list[str]:
    return Path("data/train.txt").read_text().split("\n\n")


@pytest.mark.usefixtures("_there")
def test_all_is_printed() -> None:
    printed, told = Path("printed").read_text(), Path("told").read_text()
    assert "news: 40 sentences, divided into 2 folds" in told
    assert [line for line in told.splitlines() if line.startswith("fold")] == [
        *("fold 1 of 2", "fold 2 of 2")
    ]
    words = sum(len(own.strip().split("\n")) for own in _sentences())
    for task, labels in {"ner": words, "pos": words, "mood": 40}.items():
        assert re.search(rf"^│ {task} +│ +{labels} │", printed, re.MULTILINE)
    assert "pos: the most suspicious labels" in printed
    assert printed.endswith(
        "all: out/audit.jsonl\npage: page.html\n"
        "next:  page.html: accept corrections and save them as accepted.jsonl; "
        "mtl correct run.yaml accepted.jsonl training.epochs=8\n"
    )
    assert "<table" in Path("page.html").read_text(encoding="utf-8")


def test_models_that_are_too_weak_are_noted(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = {"weak": AuditedTask(10, 3), "strong": AuditedTask(10, 2)}
    print_audit(Audit(Path("out"), [], tasks, []), top=20)
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]
    assert len(notes) == 1
    assert notes[0].startswith("note: weak: so many labels are suspicious")


def test_long_texts_are_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    issue = Issue(
        task="mood",
        kind="label",
        given="good",
        suggested="bad",
        score=0.01,
        given_probability=0.1,
        suggested_probability=0.9,
        file="mail.csv",
        checksum="",
        line=2,
        sentence=0,
        start=None,
        end=None,
        tokens=("first", *["word"] * 500, "last"),
        changes=(),
    )
    print_audit(Audit(Path("out"), [issue], {"mood": AuditedTask(10, 1)}, []), top=20)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert 3 < len(rows) < 12


@pytest.mark.usefixtures("_there")
def test_each_fold_is_an_ordinary_run_folder() -> None:
    result = mtl("evaluate", "out/fold-2", "--task", "pos", "--json")
    assert result.code == 0, result.err
    found = [own for own in lines() if own["task"] == "pos"]
    labels = sum(len(own.strip().split("\n")) for own in _sentences())
    assert 0 < len(found) < labels / 4


@pytest.mark.usefixtures("_there")
def test_corrections_are_applied_to_copies(tmp_path: Path) -> None:
    wrong = [own for own in lines() if own["sentence"] == PLANTED and own["task"] != "mood"]
    accepted = tmp_path / "accepted.jsonl"
    accepted.write_text("".join(json.dumps(own) + "\n" for own in wrong))
    before = Path("data/train.txt").read_bytes()
    copies = tmp_path / "copies"
    result = mtl("correct", "run.yaml", str(accepted), "--output", str(copies))
    assert result.code == 0, result.err
    told = result.out.splitlines()
    assert told[0] == f"{copies}/train.txt: 2 labels corrected"
    assert told[1].startswith("next:  replace the old files")
    assert Path("data/train.txt").read_bytes() == before
    old = _sentences()[PLANTED]
    word = old.split()[0]
    new = old.replace(f"{word} VBD O", f"{word} NNP B-PER", 1)
    assert (copies / "train.txt").read_text() == before.decode().replace(old, new, 1)
    again = mtl("correct", "run.yaml", str(accepted), "--output", str(copies))
    assert_told(again, f"{copies}: exists already; choose another folder, or remove it")


def test_finished_folds_are_not_trained_again(tmp_path: Path, audited: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(audited)
        again = mtl(*COMMAND, "out")
        assert_told(
            again,
            "out: exists already; continue its training with --resume, choose another folder with "
            "--output, or remove it",
        )
        models = [Path(f"out/fold-{number}/model.safetensors") for number in (1, 2)]
        before = [model.stat().st_mtime_ns for model in models], lines()
        Path("out/audit.jsonl").unlink()
        result = mtl(*COMMAND, "out", "--resume", "--json")
        assert result.code == 0, result.err
        assert ([model.stat().st_mtime_ns for model in models], lines()) == before
        assert [json.loads(line) for line in result.out.splitlines()] == lines()


@pytest.mark.slow
def test_a_killed_audit_continues(tmp_path: Path, audited: Path) -> None:
    write(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        process = start(*COMMAND, "out")
        while not Path("out/fold-2/run.yaml").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not Path("out/audit.jsonl").exists()
        model = Path("out/fold-1/model.safetensors")
        before = model.stat().st_mtime_ns
        result = mtl(*COMMAND, "out", "--resume")
        assert result.code == 0, result.err
        assert model.stat().st_mtime_ns == before
        found = lines()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(audited)
        expected = lines()
    for own, other in zip(found, expected, strict=True):
        assert {**own, "file": ""} == {**other, "file": ""}


def test_mistakes_are_told_before_training(project: Path) -> None:
    assert_told(
        mtl(*COMMAND, "out", "--task", "nr"), "the run has no task 'nr'; did you mean 'ner'?"
    )
    result = mtl("audit", "run.yaml", "--folds", "99")
    assert result.code == 2
    assert "99 folds need at least 99 sentences, found 40; use fewer folds" in result.err
    result = mtl(*COMMAND, "out", "--json", "--top", "3")
    assert result.code == 2
    assert "has no effect with --json" in result.err
    result = mtl(*COMMAND, "out", "--html", "nowhere/page.html")
    assert result.code == 2
    assert "the folder nowhere does not exist; create it first" in result.err
    result = mtl(*COMMAND, "out", "--html", "data")
    assert "data is a folder; name a file" in result.err
    assert not Path("out").exists()
    assert not Path("runs").exists()


def test_documents_stay_together(project: Path) -> None:
    from mtl.analysis.audit.folds import audited_corpora, fold_run
    from mtl.experiment import load_config, load_corpora

    sentences = Path("data/train.txt").read_text().split("\n\n")
    groups = ["\n\n".join(sentences[start : start + 5]) for start in range(0, 40, 5)]
    text = "".join(f"-DOCSTART- -X- O\n\n{group.strip()}\n\n" for group in groups)
    Path("data/train.txt").write_text(text)
    run = load_config(Path("run.yaml"))
    (corpus,) = audited_corpora(run, ["ner"], 4)
    assert corpus.documents
    assert corpus.places.documents.tolist() == [1 + row // 5 for row in range(40)]
    held = []
    for number in range(4):
        own = load_corpora(fold_run(run, [corpus], 4, number))["news"]
        rows = own.splits["test"].rows.tolist()
        held += rows
        assert len(rows) == 10
        assert {row // 5 for row in rows}.isdisjoint(row // 5 for row in own.splits["train"].rows)
    assert sorted(held) == [*range(40)]


SETS = """\
embedding: {words: {dim: 16, min_count: 1}}
trunk: {type: lstm, hidden_size: 16}
corpora:
  own:
    reader: csv
    files: {train: rows.csv}
    tasks:
      topics:
        labels: {column: topics, form: set, separator: ";"}
        head: pool
        metric: set_f1
      kind: {labels: kind, head: pool, metric: accuracy}
tasks: {topics: {use: own/topics}, kind: {use: own/kind}}
training:
  epochs: 10
  patience: null
  batch: {sentences: 8}
  optimizer: {type: adam, lr: 0.02}
"""


def test_a_wrong_set_of_labels_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = [("food", "soup"), ("music", "song")], [("good", "nice"), ("bad", "poor")]
    pairs = [(kinds[0][n % 2], kinds[1][n // 2 % 2]) for n in range(40)]
    rows = [f"The {a[1]} {n} was {b[1]},{a[0]};{b[0]},{a[0]}" for n, (a, b) in enumerate(pairs)]
    rows[4] = "The soup 4 was nice,music,music"
    rows[:4] = [row.rpartition(",")[0] + ",_" for row in rows[:4]]  # without a kind
    Path("rows.csv").write_text("\n".join(["text,topics,kind", *rows, ""]))
    Path("run.yaml").write_text(SETS)
    result = mtl("audit", "run.yaml", "--folds", "2", "--output", "out")
    assert result.code == 0, result.err
    first, kind = (
        next(own for own in lines() if own["task"] == task) for task in ("topics", "kind")
    )
    assert (first["line"], first["sentence"]) == (kind["line"], kind["sentence"]) == (6, 4)
    assert (first["given"], first["suggested"]) == ("music", "food, good")
    assert (kind["given"], kind["suggested"]) == ("music", "food")
    Path("first.jsonl").write_text(json.dumps(first))
    assert mtl("correct", "run.yaml", "first.jsonl", "--output", "copies").code == 0
    corrected = Path("copies/rows.csv").read_text().splitlines()
    assert corrected[5] == "The soup 4 was nice,food;good,music"
    assert corrected[:5] == Path("rows.csv").read_text().splitlines()[:5]

"""Pairs of sentences, from the corpus file to `mtl predict`."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import mtl as library
from mtl.errors import MtlError
from tests.cli.command import Result, mtl

WORDS = ["soup", "race", "poem", "rain"]
CORPUS = """\
reader: {type: tsv, text: text, pair: text_b}
files: {train: ../train.tsv, dev: ../dev.tsv}
tasks:
  same: {labels: same, head: {type: pool}, metric: accuracy}
  alike: {labels: {column: alike, form: number}, head: {type: pool}, metric: pearson}
"""
RUN = """\
embedding: {words: {dim: 16, dropout: 0.0}}
trunk: {type: lstm, num_layers: 1, hidden_size: 16, dropout: 0.0}
tasks:
  same: {use: two/same, head: {type: pool, compare: [difference, product], dropout: 0.0}}
  alike: {use: two/alike, head: {type: attention, cross_attention: true, dropout: 0.1}}
training: {epochs: 15, batch: {sentences: 8}, optimizer: {type: adam, lr: 0.02}}
"""


def pairs(count: int, seed: int) -> str:
    """Return pairs of sentences that are about the same thing, or not."""
    rng = random.Random(seed)
    rows = ["text\ttext_b\tsame\talike"]
    for _ in range(count):
        first, other = rng.choice(WORDS), rng.choice(WORDS)
        second = first if rng.random() < 0.5 else other
        same = first == second
        rows.append(f"We had {first} .\tSo the {second} was good\t{same}\t{5 if same else 1}")
    return "\n".join(rows) + "\n"


def write(folder: Path) -> None:
    """Write the project into a folder."""
    (folder / "tasks").mkdir()
    (folder / "tasks/two.yaml").write_text(CORPUS)
    (folder / "run.yaml").write_text(RUN)
    (folder / "train.tsv").write_text(pairs(120, 1))
    (folder / "dev.tsv").write_text(pairs(30, 2))


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a small project, in which the test runs."""
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a run folder that no test changes."""
    folder = tmp_path_factory.mktemp("two")
    write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = mtl("train", "run.yaml")
    assert result.code == 0, result.err
    return str(folder / "runs/run")


TEXT = "We had rain .\tSo the rain was good\n\nWe had soup .\tSo the race was good\n"


def objects(result: Result) -> list[dict[str, Any]]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_pairs_are_learnt(model: str) -> None:
    scores = json.loads(mtl("evaluate", model, "--split", "dev", "--json").out)
    assert scores["same"]["accuracy"] > 0.9
    assert scores["alike"]["pearson"] > 0.8


def test_pairs_of_text_stand_on_a_line_with_a_tab_between(model: str) -> None:
    first, second = objects(mtl("predict", model, "--format", "jsonl", stdin=TEXT))
    assert (first["same"], second["same"]) == ("True", "False")
    assert (first["text_b"], first["tokens_b"][1:3]) == ("So the rain was good", ["the", "rain"])


def test_pairs_of_json_have_two_fields_and_keep_the_others(model: str) -> None:
    row = {"id": 7, "tokens": ["We", "had", "rain", "."], "text_b": "So the rain was good"}
    options = ["--input", "jsonl", "--format", "jsonl", "--task", "same"]
    (found,) = objects(mtl("predict", model, *options, stdin=json.dumps(row)))
    assert (found["id"], found["same"]) == (7, "True")
    again = mtl("predict", model, *options, stdin=json.dumps(found)).out
    assert json.loads(again) == {**found, "predicted_same": "True"}


def test_columns_hold_the_first_sentence_and_comments_the_rest(model: str) -> None:
    lines = mtl("predict", model, "--task", "same", stdin=TEXT).out.splitlines()
    assert lines[:3] == [
        "# text = We had rain .", "# text_b = So the rain was good", "# same = True"
    ]  # fmt: skip
    assert lines[3:8] == ["# columns = token", "We", "had", "rain", "."]


def test_pairs_from_python(model: str) -> None:
    found = library.load(model)
    text = [("We had rain .", "So the rain was good"), [["We"], []]]
    assert found.predict(text)["same"][0] == "True"
    with pytest.raises(MtlError, match="expected two sentences to compare, got 'We had rain'"):
        found.predict(["We had rain"])


def test_long_pairs_are_read_whole(two: Path) -> None:
    row = f"{'We had rain . ' * 20}\tSo the rain was good\tTrue\t5\n"
    (two / "train.tsv").write_text(pairs(16, 1) + row)
    changes = ["training.epochs=1", "training.max_length=10", "training.overlap=2"]
    assert mtl("train", "run.yaml", *changes).code == 0
    (found,) = objects(
        mtl("predict", "runs/run", "--format", "jsonl", stdin=row[: row.index("\tT")])
    )
    assert len(found["tokens"]) == 80


def test_the_first_pair_is_shown(two: Path) -> None:
    lines = mtl("check", "run.yaml").out.splitlines()
    assert sum(line.startswith("  tokens: ") for line in lines) == 2


IN_THE_RUN = {
    "a tagger": ("tasks.same.head={type: crf}", "sentences come in pairs; use a classifier, such "
        "as pool"),
    "parts that are none": ("tasks.same.head={type: pool, compare: []}", None),
    "a comparison of single sentences": ("corpora.two.reader.pair=null", "the reader returns no "
        "pairs of sentences; set its `pair`"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), IN_THE_RUN.values(), ids=IN_THE_RUN)
def test_a_mistake_in_the_run(two: Path, change: str, message: str | None) -> None:
    result = mtl("train", "run.yaml", change)
    assert result.code == 2
    assert (message or "compare: expected different parts, got []") in result.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "stdin", "message"),
    [
        ([], "one sentence\n", "<stdin>:1: expected two sentences with a tab between, found 1"),
        ([], "\na\tb\tc\n", "<stdin>:2: expected two sentences with a tab between, found 3"),
        (["--input", "jsonl"], '{"text": "a"}', '<stdin>:1: expected an object with "tokens" '
         '(a list of words) or "text" (a string), and with "tokens_b" or "text_b"'),
        (["--input", "conll"], "a\n", "<stdin>: expected pairs as text with a tab between, as "
         "JSONL or as a table"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_told(model: str, options: list[str], stdin: str, message: str) -> None:
    found = mtl("predict", model, *options, stdin=stdin)
    assert found == Result(2, "", f"error: {message}\n")


def test_a_file_without_the_second_column(two: Path) -> None:
    (two / "train.tsv").write_text("text\tsame\talike\na\tTrue\t1\n")
    result = mtl("train", "run.yaml")
    assert result.code == 2
    assert "train.tsv:1: no column 'text_b'; did you mean 'text'?; see `pair:`" in result.err


def test_pairs_with_an_empty_side_are_left_out_and_said(two: Path) -> None:
    with open("train.tsv", "a") as file:
        file.write("We had rain .\t \tTrue\t5\n")
    result = mtl("train", "run.yaml", "training.epochs=1")
    assert "note: two: train: 1 rows without words left out" in result.err


def test_pairs_and_single_sentences_learn_together_and_predict_apart(two: Path) -> None:
    one = CORPUS.replace("pair: text_b", "columns: {text: 0, mood: 2}")
    one = one[: one.index("tasks:")] + "tasks: {mood: {labels: mood, head: pool, metric: accuracy}}"
    (two / "tasks/one.yaml").write_text(one)
    result = mtl("train", "run.yaml", "tasks.mood.use=one/mood", "training.epochs=1")
    assert result.code == 0, result.err
    told = mtl("predict", "runs/run", stdin=TEXT).err
    message = (
        "same, alike: reads pairs, other tasks read single sentences; select tasks of one kind"
    )
    assert told == f"error: {message}\n"
    (found,) = objects(
        mtl("predict", "runs/run", "--task", "mood", "--format", "jsonl", stdin="Rain")
    )
    assert set(found) == {"text", "tokens", "offsets", "mood"}


def test_pairs_and_single_sentences_share_no_head(two: Path) -> None:
    one = CORPUS.replace(", pair: text_b", "")
    (two / "tasks/one.yaml").write_text(one)
    changes = ["tasks.mood.use=one/same", "tasks.mood.head=same"]
    result = mtl("train", "run.yaml", *changes)
    assert result.code == 2
    assert "pairs and single sentences cannot share a head, as with 'same'" in result.err

"""Formats and labels that `mtl new` recognises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtl.errors import MtlError
from mtl.inspection import describe, plan_corpus
from mtl.inspection.columns import Unsuitable, plan_sentences, plan_tokens
from mtl.inspection.writing import run_text

WORDS = [
    "the",
    "old",
    "dog",
    "sees",
    "a",
    "red",
    "cat",
    "near",
    "some",
    "tall",
    "tree",
    "while",
    "bird",
    "sings",
]


def _texts(count: int) -> list[str]:
    return [
        f"{WORDS[i % 14]} {WORDS[i * 3 % 14]} {WORDS[i * 5 % 14]} number {i}" for i in range(count)
    ]


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_of_conll_get_the_names_of_their_labels(tmp_path: Path) -> None:
    rows = ["Ann NNP B-NP B-PER", "sleeps VBZ B-VP O", "in IN B-PP O", "Rome NN B-NP B-LOC", ""]
    plan = plan_corpus([_write(tmp_path / "a.txt", rows * 6)])
    assert plan.format.reader == "conll"
    assert plan.format.options["columns"] == ["tokens", "pos", "chunk", "ner"]
    assert {name: task.scheme for name, task in plan.tasks.items()} == {
        "pos": None, "chunk": "bio", "ner": "bio"
    }  # fmt: skip
    assert plan.tasks["ner"].counts == {"PER": 6, "LOC": 6}
    assert plan.splits == {"dev": 2}


def test_texts_without_blanks_may_be_a_table(tmp_path: Path) -> None:
    rows = [f"well-done,{'very,' * (i % 3)}yes!\t{'POS' if i % 2 else 'NEG'}" for i in range(30)]
    plan = plan_corpus([_write(tmp_path / "a.tsv", rows)])
    assert plan.format.reader == "tsv"


def test_a_tsv_file_may_have_one_token_per_line(tmp_path: Path) -> None:
    rows = ["Ann\tB-PER", "runs\tO", "", "Bob\tB-PER", "sleeps\tO", ""]
    plan = plan_corpus([_write(tmp_path / "a.tsv", rows * 6)])
    assert (plan.format.reader, plan.sentences) == ("conll", 12)
    assert plan.tasks["ner"].counts == {"PER": 12}


def test_identifiers_before_the_words_are_no_labels(tmp_path: Path) -> None:
    rows = ["1\tAnn\tPER", "2\tsleeps\tO", "", "1\tBob\tPER", "2\truns\tO", "3\taway\tO", ""]
    plan = plan_corpus([_write(tmp_path / "a.tsv.conll", rows * 6)])
    assert plan.format.options["columns"] == ["column1", "tokens", "label"]
    assert list(plan.tasks) == ["label"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_tables(tmp_path: Path, separator: str, header: bool) -> None:
    rows = [
        separator.join([str(i), text, "good" if i % 3 else "bad", str(i % 50 / 10)])
        for i, text in enumerate(_texts(60))
    ]
    top = [separator.join(["id", "review", "tone", "stars"])] if header else []
    plan = plan_corpus([_write(tmp_path / "a.csv", top + rows)])
    assert plan.sentences == 60
    tone, stars = ("tone", "stars") if header else ("column3", "column4")
    assert plan.tasks[tone].counts == {"good": 40, "bad": 20}
    assert plan.tasks[stars].labels == {"column": stars, "form": "number"}
    assert set(plan.tasks) == {tone, stars}
    assert plan.format.options["text"] == ("review" if header else "column2")


def test_json_lines_with_words_and_with_texts(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"words": ["Ann", "runs"], "pos": ["PROPN", "VERB"], "tone": "good" if i % 2 else "bad"}
        for i in range(10)
    ]
    plan = plan_corpus([_write(tmp_path / "a.jsonl", [json.dumps(row) for row in rows])])
    assert plan.format.options == {"tokens": "words"}
    assert plan.tasks["pos"].head == {"type": "softmax"}
    assert plan.tasks["tone"].counts == {"good": 5, "bad": 5}
    rows = [
        {"body": text, "topics": ["a", "b"] if i % 2 else []} for i, text in enumerate(_texts(9))
    ]
    plan = plan_corpus([_write(tmp_path / "b.jsonl", [json.dumps(row) for row in rows])])
    assert plan.format.options == {"text": "body"}
    assert plan.tasks["topics"].labels == {"column": "topics", "form": "set"}


def test_pairs(tmp_path: Path) -> None:
    rows = [f"{t},{t} again,{'same' if i % 2 else 'other'}" for i, t in enumerate(_texts(30))]
    plan = plan_corpus([_write(tmp_path / "a.csv", ["sentence1,sentence2,label", *rows])])
    assert plan.format.options == {"text": "sentence1", "pair": "sentence2"}
    assert list(plan.tasks) == ["label"]


def test_labels_before_texts(tmp_path: Path) -> None:
    rows = [f"{'DESC' if i % 2 else 'NUM'}:x {text}" for i, text in enumerate(_texts(40))]
    plan = plan_corpus([_write(tmp_path / "a.txt", rows)])
    assert plan.format.reader == "lines"
    assert plan.tasks["label"].counts == {"DESC:x": 20, "NUM:x": 20}


def test_names_of_files_give_their_splits(tmp_path: Path) -> None:
    rows = ["Ann X", "runs Y", ""] * 5
    names = ["x.train.conll", "x-dev.conll", "latest_test.conll", "contest.conll"]
    plan = plan_corpus([_write(tmp_path / name, rows) for name in names])
    assert {split: [path.name for path in paths] for split, paths in plan.files.items()} == {
        "train": ["x.train.conll", "contest.conll"],
        "dev": ["x-dev.conll"],
        "test": ["latest_test.conll"],
    }
    assert plan.splits == {}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "the file is empty"),
        (["This is a text without any labels, of two sentences.", "Here is another."], "no format"),
        (["text,label", *(f"{t},same" for t in _texts(9))], "has labels to learn\n  label: every"),
        (["Ann X", "", "Bob Y", ""], "2 sentences; expected at least 5"),
        (['{"text": "a", "label": "x"}', "{"], "a.txt:2: not a JSON object"),
    ],
)
def test_files_without_labels_are_one_error(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(MtlError, match=message):
        plan_corpus([_write(tmp_path / "a.txt", lines)])


def test_the_start_depends_on_the_language_even_if_most_words_are_names(tmp_path: Path) -> None:
    texts = {
        "english": "The doctor gave Mei Chen warfarin; Nobody knows why asthma came back",
        "german": "Der Arzt gab Mei Chen Warfarin; Niemand in Ulm war so froh",
        "dutch": "Ann is in Delft; de man of de vrouw was er al",
    }
    for name, text in texts.items():
        rows = [f"{part} {i};{'ab'[i % 2]};{'y' * (i < 9)}" for i in range(10)
                for part in text.split("; ")]  # fmt: skip
        path = _write(tmp_path / f"{name}.csv", ["text;label;rare", *rows])
        plan = plan_corpus([path])
        *_, start = describe(plan)
        line = next(line for line in run_text(plan, "x").splitlines() if "init: english" in line)
        assert plan.pretrained is (name == "english")
        assert start.startswith("start: from ")
        assert ("random weights" in start) is line.startswith("  # init") is (name != "english")


def test_sentences_without_a_label_are_counted(tmp_path: Path) -> None:
    rows = [f"{t},{'' if i < 4 else 'ab'[i % 2]}" for i, t in enumerate(_texts(12))]
    lines = list(describe(plan_corpus([_write(tmp_path / "a.csv", ["text,label", *rows])])))
    assert "no dev file: 3 of the 12 sentences become the dev set" in lines
    assert any(line.endswith(": a (4), b (4); 4 sentences without a label") for line in lines)


def test_files_of_two_formats_are_an_error(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.conll", ["Ann X", "runs Y", ""] * 5)
    second = _write(tmp_path / "dev.csv", ["text,label", *(f"{t},a" for t in _texts(5))])
    with pytest.raises(MtlError, match="pass files of one format"):
        plan_corpus([first, second])


def test_values_that_are_no_labels() -> None:
    with pytest.raises(Unsuitable, match="positions"):
        plan_tokens("n", [["0", "1", "2"], ["0", "1"]])
    with pytest.raises(Unsuitable, match="different values"):
        plan_tokens("lemma", [[f"w{i}" for i in range(100)]])
    with pytest.raises(Unsuitable, match="another value"):
        plan_sentences("user_id", [str(i) for i in range(100)])
    with pytest.raises(Unsuitable, match="every sentence has the label"):
        plan_sentences("x", ["a"] * 10)


def test_cells_with_several_labels_are_sets() -> None:
    plan = plan_sentences("topics", ["food;service", "food", "place; food", "place"] * 10)
    assert plan.labels == {"column": "topics", "form": "set", "separator": ";"}
    assert plan.counts == {"food": 30, "service": 10, "place": 20}
    plan = plan_sentences("topics", ["food;service", "food", "service", "price"] * 10)
    assert plan.labels == {"column": "topics", "form": "set", "separator": ";"}
    # A comma in a label is no separator if its parts never occur alone.
    assert plan_sentences("place", ["Paris, France", "Rome, Italy"] * 10).labels == "place"


def test_headers_are_recognised(tmp_path: Path) -> None:
    rows = [f"{i},{t},{'good' if i % 2 else 'bad'}" for i, t in enumerate(_texts(24))]
    plan = plan_corpus([_write(tmp_path / "pandas.csv", [",text,mood", *rows])])
    assert plan.tasks["mood"].counts == {"good": 12, "bad": 12}
    rows = [f"Yes, {t};{'good' if i % 2 else 'bad'}" for i, t in enumerate(_texts(24))]
    plan = plan_corpus([_write(tmp_path / "eu.csv", ["text;mood", *rows])])
    assert plan.format.options == {"text": "text", "separator": ";"}


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        (
            "a.jsonl",
            [*['{"tokens": ["a", "b"], "pos": ["X", "Y"]}'] * 9, '{"tokens": ["a"], "pos": []}'],
            "a.jsonl:10: 'pos' has 0 values for 1 tokens",
        ),
        ("a.conll", ["word pos", *["Ann N", "runs V", ""] * 9], "a.conll:1: the first row names"),
        ("a.conll", ["Ann B-PER", "runs O"] * 20, "but no blank line ends a sentence"),
        ("a.tsv", ["Ann\tB-PER", "runs\tO"] * 20, "but no blank line ends a sentence"),
        (
            "a.csv",
            ["Sentence #,Word,Tag", *(f"{i // 9},w{i},{'BO'[i % 2]}" for i in range(90))],
            "almost every text is a single word",
        ),
        (
            "a.csv",
            ["text,mood,mood", *(f"{t},a,b" for t in _texts(9))],
            "two columns are called 'mood'",
        ),
    ],
)
def test_files_that_would_be_misread_are_one_error(
    tmp_path: Path, name: str, lines: list[str], message: str
) -> None:
    with pytest.raises(MtlError, match=message):
        plan_corpus([_write(tmp_path / name, lines)])


def test_objects_and_tags_without_types_are_no_labels() -> None:
    with pytest.raises(Unsuitable, match="other values than numbers"):
        plan_sentences("meta", [{"x": "y"}] * 5)
    with pytest.raises(Unsuitable, match="every token has the label 'I'"):
        plan_tokens("x", [["I", "I"]])


def test_all_sentences_are_counted_though_labels_are_read_from_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtl.inspection.plan._RECORDS", 20)
    rows = [f"{text},{'ab'[i % 2]}" for i, text in enumerate(_texts(1200))]
    plan = plan_corpus([_write(tmp_path / "a.csv", ["text,label", *rows])])
    assert (plan.sentences, plan.inspected, plan.tokens) == (1200, 20, 6000)
    assert plan.tasks["label"].counts == {"a": 10, "b": 10}
    assert plan.splits == {"dev": "10%", "test": "10%"}
    note = "note: labels are recognised and counted in 20 of the sentences"
    assert note in list(describe(plan))
    assert "1,200 sentences" in run_text(plan, "a")


def test_tasks_have_names_of_their_own(tmp_path: Path) -> None:
    rows = [f"{t},{'ab'[i % 2]},{'cd'[i % 2]},{i % 3}" for i, t in enumerate(_texts(12))]
    plan = plan_corpus([_write(tmp_path / "a.csv", ["text,is good,is-good,2nd", *rows])])
    assert {name: task.labels for name, task in plan.tasks.items()} == {
        "is_good": "is good",
        "is_good_2": "is-good",
        "label_2nd": "2nd",
    }


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        (["PER-B", "PER-I", "O"], "write 'B-PER' instead of 'PER-B'"),
        (["B_PER", "I_PER", "O"], "write 'B-PER' instead of 'B_PER'"),
        (["b-per", "i-per", "o"], "write 'B-per' instead of 'b-per'"),
        (["NOUN", "VERB", "X-B"], ""),
    ],
)
def test_labels_that_look_like_spans_are_noted(tags: list[str], note: str) -> None:
    found = plan_tokens("ner", [tags] * 5)
    assert found.scheme is None
    assert (note in found.note) if note else not found.note


def test_missing_numbers_are_not_labels() -> None:
    plan = plan_sentences("stars", [*(str(i / 4) for i in range(30)), "NaN", "nan"])
    assert plan.labels == {"column": "stars", "form": "number"}


@pytest.mark.parametrize("title", ["Survey of 2024", "Survey of 2024,,"])
def test_a_title_above_a_table_is_an_error(tmp_path: Path, title: str) -> None:
    rows = [f"{t},{'ab'[i % 2]},x" for i, t in enumerate(_texts(12))]
    with pytest.raises(MtlError, match=r"a\.csv:1: the first row looks like a title: 'Survey"):
        plan_corpus([_write(tmp_path / "a.csv", [title, "text,label,other", *rows])])

"""`mtl predict` with several label sequences, and with labels that the input gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import mtl

NER = ("--task", "ner")
CONLL = "Ann\tNNP\t_\nleft\tVBD\tO\nRome\tNNP\tPER|O\n\nEva\tNNP\tB-LOC\n"
CONLLU = "1\tAnn" + "\t_" * 8 + "\n"


def rows(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines() if line and line[0] != "#"]


def test_a_column_gives_labels(model: str) -> None:
    found = mtl("predict", model, *NER, "--input", "conll", "--given", "ner=2", stdin=CONLL)
    assert found.code == 0, found.err
    labels = [row[1] for row in rows(found.out)]
    assert labels[0] == "B-PER"
    assert labels[1] == "O"
    assert labels[2] in ("B-PER", "I-PER", "O")
    assert labels[3] == "B-LOC"


def test_a_field_gives_labels_and_paths_have_probabilities(model: str) -> None:
    record = {"tokens": ["Ann", "left"], "tags": [None, "B-LOC"], "id": 7}
    options = ["--given", "ner=tags", "--nbest", "3", "--input", "jsonl", "--format", "jsonl"]
    found = mtl("predict", model, *NER, *options, stdin=json.dumps(record))
    assert found.code == 0, found.err
    own = json.loads(found.out)
    assert own["id"] == 7
    assert "tags" not in own
    found_labels = [tuple(path["labels"]) for path in own["paths"]["ner"]]
    assert len({*found_labels}) == len(found_labels) == 3  # none is repeated
    assert {labels[1] for labels in found_labels} == {"B-LOC"}
    assert own["paths"]["ner"][0]["labels"] == own["ner"]
    shares = [path["probability"] for path in own["paths"]["ner"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1.00001


def test_conll_has_a_column_per_sequence(model: str) -> None:
    found = mtl("predict", model, *NER, "--nbest", "2", stdin="Ann left.")
    assert found.code == 0, found.err
    assert "# ner.probabilities = " in found.out
    assert "# columns = token ner ner.2\n" in found.out
    assert all(len(row) == 3 for row in rows(found.out))


def test_a_list_gives_labels_of_phrases(model: str, tmp_path: Path) -> None:
    (tmp_path / "names.tsv").write_text("left Rome\tLOC\nAnn\tO\n", encoding="utf-8")
    option = f"ner={tmp_path / 'names.tsv'}"
    found = mtl("predict", model, *NER, "--gazetteer", option, stdin="Ann left Rome.")
    assert found.code == 0, found.err
    labels = [row[1] for row in rows(found.out)]
    assert labels[0] == "O"
    assert {labels[1][2:], labels[2][2:]} == {"LOC"}


def test_a_list_with_an_unknown_label_is_told_before_its_phrase_occurs(
    model: str, tmp_path: Path
) -> None:
    (tmp_path / "names.tsv").write_text("Ann\tPERS\n", encoding="utf-8")
    option = f"ner={tmp_path / 'names.tsv'}"
    found = mtl("predict", model, *NER, "--gazetteer", option, stdin="We left Rome.")
    assert (found.code, found.out) == (2, "")
    assert "names.tsv: unknown label 'PERS'; did you mean 'PER'?" in found.err
    found = mtl("predict", model, "--gazetteer", option.replace("ner", "mood"), stdin="We left.")
    assert found.code == 2
    assert "the task 'mood' has no label per token" in found.err


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        (["--given", "ner"], CONLL, "expected TASK=…, got 'ner'"),
        (["--given", "mud=2"], CONLL, "'mud' is not among the tasks"),
        (["--given", "ner=two"], CONLL, "expected the number of a column, counted from 0"),
        (["--given", "ner=²"], CONLL, "expected the number of a column, counted from 0"),
        (["--given", "ner=9"], CONLL, "columns"),
        (["--given", "ner=1", "--given", "ner=2"], CONLL, "'ner' is named twice: 1 and 2"),
        (["--given", "ner=2"], "a\tb\tB-FOO\n", "unknown label 'B-FOO' is given"),
        (["--given", "ner=13"], CONLLU, "expected one of the columns 2 to 5, 7 and 9"),
        (["--given", "ner=2", "--confidence"], CONLL, "do not depend on given labels"),
        (["--nbest", "2", "--explain"], CONLL, "cannot be used with --nbest 2"),
        (["--nbest", "2", "--format", "csv"], CONLL, "tables have one label sequence"),
        (["--nbest", "1"], CONLL, "should be greater than or equal to 2"),
        (["--nbest", "101"], CONLL, "should be less than or equal to 100"),
    ],
)
def test_what_cannot_be_used_is_told(
    model: str, options: list[str], text: str, message: str
) -> None:
    found = mtl("predict", model, *NER, "--input", "conll", *options, stdin=text)
    assert found.code == 2
    assert message in " ".join(found.err.split())
    assert "Traceback" not in found.err


def test_fields_that_are_missing_or_too_short_are_told(model: str) -> None:
    for record, message in [
        ({"tokens": ["a"]}, "an object has no field 'tags'"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "expected labels of 2 words, got 1"),
        ({"tokens": ["a"], "tags": "O"}, "given labels: expected"),
    ]:
        options = ["--input", "jsonl", "--given", "ner=tags"]
        found = mtl("predict", model, *NER, *options, stdin=f"\n{json.dumps(record)}")
        assert found.code == 2
        assert f"<stdin>:2: {message}" in found.err, found.err


def test_tasks_without_label_sequences_are_told(model: str) -> None:
    found = mtl("predict", model, "--task", "mood", "--nbest", "2", stdin="Ann left.")
    assert found.code == 2
    assert "no task has one label per token: mood" in found.err

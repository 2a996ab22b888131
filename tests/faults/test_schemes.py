"""Tags in any scheme are read, learnt and written in the letters of the file."""

from __future__ import annotations

import json

import pytest

from tests.cli.command import mtl
from tests.faults.project import SPANS, Project

FILES = {
    "bilou": "Anna B-PER\nMaria I-PER\nSchmidt L-PER\nin O\nBonn U-LOC\n\nBob U-PER\n\n",
    "bmes": "Anna B-PER\nMaria M-PER\nSchmidt E-PER\nin O\nBonn S-LOC\n\nBob S-PER\n\n",
    "iobes": "Anna B-PER\nMaria I-PER\nSchmidt E-PER\nin O\nBonn S-LOC\n\nBob S-PER\n\n",
    "bio": "Anna B-PER\nMaria I-PER\nSchmidt I-PER\nin O\nBonn B-LOC\n\nBob B-PER\n\n",
}


@pytest.mark.parametrize(
    ("scheme", "head"),
    [
        pytest.param(scheme, head, marks=[pytest.mark.slow] if head not in (None, "iobes") else [])
        for scheme in FILES
        for head in (None, "bio", "iobes", "bilou", "bmes")
    ],
)
def test_the_letters_of_the_file_are_predicted(scheme: str, head: str | None) -> None:
    files = {"train.txt": FILES[scheme] * 10, "dev.txt": FILES[scheme]}
    training = {"epochs": 25, "optimizer": {"type": "adam", "lr": 0.05}}
    training["schedule"] = {"type": "constant", "warmup": 0}
    crf = {"type": "crf", "scheme": head, "constrained": True, "dropout": 0.0}
    project = Project({**SPANS, "scheme": scheme, "head": crf}, files, training=training)
    assert "break the scheme" not in project.check().out
    assert project.train().code == 0
    assert json.loads(project.evaluate("--json").out)["t"]["span_f1"] == 1
    words = "".join(f"{line.split(' ')[0]}\n" for line in FILES[scheme].splitlines())
    predicted = mtl("predict", "r", "-", "--input", "conll", "--format", "jsonl", stdin=words)
    tags = [json.loads(line)["t"] for line in predicted.out.splitlines()]
    gold = [[row.split()[1] for row in part.splitlines()] for part in FILES[scheme].split("\n\n")]
    assert tags == [row for row in gold if row]


@pytest.mark.parametrize(
    ("scheme", "tags", "message"),
    [
        ("iobes", "B-X L-X U-X", ":3: task 't': the tags have the letters B, L, U, but iobes has"),
        ("iobes", "B-X L-X U-X", "set `scheme: bilou`"),
        ("bio", "O B-X M-X E-X", ":5: task 't': the tags have the letters B, E, M, but bio has"),
        ("bio", "O B-X M-X E-X", "set `scheme: bmes`"),
        ("bilou", "O B-X M-X", "set `scheme: bmes`"),
        ("bio", "O PER-B PER-I", "'PER-B' is not a span tag: expected O, or B, I"),
        ("bio", "O PER-B PER-I", "write the letter first: B-PER"),
        ("bio", "O NOUN", "for labels that are not spans, use a head without a scheme"),
    ],
)
def test_other_letters_are_an_error_that_says_what_fits(
    scheme: str, tags: str, message: str
) -> None:
    text = "".join(f"w {tag}\n\n" for tag in tags.split())
    project = Project({**SPANS, "scheme": scheme}, {"train.txt": text, "dev.txt": text})
    checked = project.check()
    assert checked.code == 2
    assert message in checked.err

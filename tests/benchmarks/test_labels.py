"""The labels that the benchmarks of question pairs and of annotators make."""

from __future__ import annotations

import random

from benchmarks.annotators import vote
from benchmarks.question_pairs import Question, pairs

KINDS = ["ABBR", "HUM", "LOC"]


def test_half_of_the_pairs_have_one_class() -> None:
    questions = [Question(kind, f"{kind} {k}") for kind in KINDS for k in range(3)]
    rows = pairs(questions, 40, random.Random(1))
    assert [row["classes"] for row in rows] == ["one", "two"] * 20
    for row in rows:
        assert row["text"] != row["other"]
        same = row["text"].split()[0] == row["other"].split()[0]
        assert same == (row["classes"] == "one")


def test_votes_of_annotators_that_never_or_always_err() -> None:
    rows = [{"tokens": ["a"], "gold": kind} for kind in KINDS]
    for row in vote(rows, 5, 0.0, random.Random(1)):
        assert row["majority"] == row["gold"]
        assert row["soft"] == {row["gold"]: 5}
    for row in vote(rows, 5, 1.0, random.Random(1)):
        assert row["gold"] not in row["soft"]
        assert sum(row["soft"].values()) == 5
        assert row["soft"][row["majority"]] == max(row["soft"].values())

"""Write pairs of questions of TREC: do both ask for the same class?

    MTL_DATA=… python benchmarks/question_pairs.py --output question_pairs

Half of the pairs have two questions of one coarse class, the other half have questions of two
classes. The pairs of dev.jsonl are of 800 questions of the training file that train.jsonl does not
have, and those of test.jsonl are of the test file. No question is in two of the files.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(os.environ.get("MTL_DATA", "data")) / "trec"
PAIRS = {"train": 3000, "dev": 800, "test": 1000}
HELD_OUT = 800


class Question(NamedTuple):
    """A question and its coarse class."""

    kind: str
    text: str


def read(path: Path) -> list[Question]:
    """Return the different questions of a file, in its order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(
        dict.fromkeys(Question(line.split(":")[0], line.split(" ", 1)[1]) for line in lines)
    )


def pairs(questions: list[Question], number: int, draw: random.Random) -> list[dict[str, str]]:
    """Return pairs, half of them of one class each, as rows of the reader `jsonl`."""
    rows = []
    for index in range(number):
        first = draw.choice(questions)
        same = index % 2 == 0
        others = [q for q in questions if (q.kind == first.kind) == same and q != first]
        second = draw.choice(others)
        rows.append({"text": first.text, "other": second.text, "classes": "one" if same else "two"})
    return rows


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    test = read(FOLDER / "TREC.test")
    tested = {question.text for question in test}
    known = [q for q in read(FOLDER / "TREC.train") if q.text not in tested]
    draw.shuffle(known)
    splits = {"train": known[HELD_OUT:], "dev": known[:HELD_OUT], "test": test}
    options.output.mkdir(parents=True, exist_ok=True)
    for split, questions in splits.items():
        rows = pairs(questions, PAIRS[split], draw)
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (options.output / f"{split}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()

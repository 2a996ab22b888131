"""Decode trained span taggers with given labels, with lists of phrases, and to ten sequences.

    MTL_DATA=… python benchmarks/known_labels.py ner RUN… --lists names.tsv
    MTL_DATA=… python benchmarks/known_labels.py chunk RUN…

The weights stay the same. Each row has scores of the test set in per cent, as mean and standard
deviation over the runs. The given labels are the correct ones of a fifth of all tokens, drawn at
random, and the accuracies are of the other tokens. The best of ten sequences is the one with the
fewest errors.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import mean

from studies import cell

import mtl
from mtl.cli.given import with_phrases
from mtl.experiment import load_corpora
from mtl.inference.inputs import Sentence
from mtl.inference.prediction import Prediction
from mtl.metrics import SpanF1
from mtl.text.example import of_tokens
from mtl.text.spans import read_spans

SHARE = 0.2
PATHS = 10

Tags = Sequence[str]


def errors(gold: Tags, found: Tags) -> int:
    """Return the number of missing and wrong spans."""
    return len({*read_spans(gold)} ^ {*read_spans(found)})


def span_f1(gold: Sequence[Tags], found: Sequence[Tags]) -> float:
    """Return the F1 of the spans."""
    metric = SpanF1()
    metric.update(gold, found)
    return metric.compute()["span_f1"]


def accuracy(
    gold: Sequence[Tags], found: Sequence[Tags], given: Sequence[Collection[int]]
) -> float:
    """Return the share of correct tags among the tokens that are not given."""
    return mean(
        tags[i] == guess[i]
        for tags, guess, known in zip(gold, found, given, strict=True)
        for i in {*range(len(tags))} - {*known}
    )


def scores(run: Path, task: str, lists: Sequence[str]) -> dict[str, float]:
    """Return the scores of a run by name."""
    model = mtl.load(run, device="cpu")
    test = load_corpora(model.run)[model.run.tasks[task].corpus].splits["test"]
    gold = [of_tokens(example.labels[task]) for example in test]

    def predict(
        given: Sequence[Collection[int]] = (), phrases: str | None = None, n_best: int = 0
    ) -> list[Prediction]:
        sentences = [Sentence.from_words(example.tokens) for example in test]
        for sentence, tags, known in zip(sentences, gold, given, strict=False):
            sentence.given = {task: [{t} if i in known else None for i, t in enumerate(tags)]}
        stream = sentences if phrases is None else with_phrases(sentences, {task: phrases})
        return list(model.annotate(stream, [task], n_best=n_best))

    def tags(predictions: Sequence[Prediction]) -> list[Tags]:
        return [of_tokens(own[task].labels) for own in predictions]

    draw = random.Random(1)
    given = [{i for i in range(len(own)) if draw.random() < SHARE} for own in gold]
    ranked = predict(n_best=PATHS)
    first, predicted = tags(ranked), tags(predict(given))
    sequences = [[path.labels for path in own[task].paths] for own in ranked]
    best = [
        min(paths, key=lambda path: errors(own, path))
        for own, paths in zip(gold, sequences, strict=True)
    ]
    found = {"F1": span_f1(gold, first)}
    found |= {f"F1, {Path(own).stem}": span_f1(gold, tags(predict(phrases=own))) for own in lists}
    found |= {
        "accuracy of the other tokens": accuracy(gold, first, given),
        "accuracy of the other tokens, given labels": accuracy(gold, predicted, given),
        f"F1, best of {PATHS}": span_f1(gold, best),
    }
    for name, paths in {"correct sentences": first, f"correct among {PATHS}": best}.items():
        found[name] = mean(not errors(*pair) for pair in zip(gold, paths, strict=True))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--lists", nargs="*", default=[], help="phrases with allowed labels")
    options = parser.parse_args()
    every = [scores(run, options.task, options.lists) for run in options.runs]
    print("|  | score |\n| --- | ---: |")
    for name in every[0]:
        values = [100 * own[name] for own in every]
        print(f"| {name} | {cell(values)} |")


if __name__ == "__main__":
    main()

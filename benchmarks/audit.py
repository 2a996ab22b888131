"""Precision of `mtl audit` on planted errors, beside the scores of cleanlab on the same models.

    pip install cleanlab
    MTL_DATA=DATA python benchmarks/audit.py pos --sentences 2500 --rates 0.01 0.02 0.05
    MTL_DATA=DATA python benchmarks/audit.py chunks --sentences 2500 --rates 0.02

`pos` changes labels of UD English EWT: to any other label with equal probability, or, with
`--noise similar`, to labels that taggers often confuse with the right one. `chunks` changes
spans of CoNLL-2000: their type, one of their boundaries, or it removes the span. A planted error
counts as found if an issue has one of its tokens. True errors of the corpora count as misses, so
all figures are lower bounds. Without cleanlab, its rows are left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mtl import load
from mtl.analysis.audit.audit import audit
from mtl.experiment import load_corpora
from mtl.text.spans import Span, read_spans, write_tags

Place = tuple[int, int]
"""A sentence and a token, both from 0."""

SIMILAR = {
    "ADJ": ["VERB", "NOUN", "ADV", "PROPN"],
    "ADP": ["SCONJ", "ADV", "PART"],
    "ADV": ["ADJ", "ADP", "SCONJ", "NOUN"],
    "AUX": ["VERB", "PART"],
    "CCONJ": ["ADV", "SCONJ"],
    "DET": ["PRON", "ADV", "ADJ"],
    "INTJ": ["NOUN", "ADV", "ADJ"],
    "NOUN": ["PROPN", "VERB", "ADJ"],
    "NUM": ["NOUN", "PROPN"],
    "PART": ["ADP", "ADV"],
    "PRON": ["DET", "SCONJ", "ADV"],
    "PROPN": ["NOUN", "ADJ"],
    "PUNCT": ["SYM", "X"],
    "SCONJ": ["ADP", "ADV", "PRON"],
    "SYM": ["PUNCT", "NOUN"],
    "VERB": ["AUX", "NOUN", "ADJ"],
    "X": ["NOUN", "PROPN", "NUM"],
}
"""Labels that people and taggers confuse with each label."""

RUN = """\
extends: base/english.yaml
corpora:
  planted:
    reader: {{type: conll, columns: [tokens, label]}}
    files: {{train: data.conll}}
    splits: {{dev: 5%}}
    tasks: {{own: {task}}}
tasks: {{own: {{use: planted/own}}}}
training: {{epochs: {epochs}, patience: null, threads: 1}}
"""
TASKS = {
    "pos": "{labels: label, head: softmax, metric: accuracy}",
    "chunks": "{labels: label, scheme: bio, head: {type: crf, scheme: iobes}, metric: span_f1}",
}


class Corpus(NamedTuple):
    """Sentences as words and labels."""

    words: list[list[str]]
    labels: list[list[str]]


def read_corpus(kind: str, count: int, skip: int) -> Corpus:
    """Return sentences of the training data, sampled with a fixed seed.

    Args:
        kind: "pos" or "chunks".
        count: The number of sentences; 0: all.
        skip: The number of sampled sentences to leave out first, if `count` is not 0.
    """
    data = Path(os.environ["MTL_DATA"])
    if kind == "pos":
        path = data / "ud_english_ewt" / "en_ewt-ud-train.conllu.gz"
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
        blocks = [
            [row for line in block.splitlines() if (row := line.split("\t"))[0].isdecimal()]
            for block in text.strip().split("\n\n")
        ]
        word, label = 1, 3
    else:
        text = (data / "conll2000" / "train.txt").read_text(encoding="utf-8")
        blocks = [[r.split() for r in b.splitlines()] for b in text.strip().split("\n\n")]
        word, label = 0, 2
    random.Random(5).shuffle(blocks)
    blocks = blocks[skip : skip + count] if count else blocks
    return Corpus(
        [[row[word].replace(" ", "_") for row in block] for block in blocks],
        [[row[label] for row in block] for block in blocks],
    )


def plant_labels(
    corpus: Corpus, rate: float, similar: bool, rng: random.Random
) -> list[set[Place]]:
    """Change labels of tokens; return the token of each change."""
    every = sorted({label for row in corpus.labels for label in row})
    places = [(i, j) for i, row in enumerate(corpus.labels) for j in range(len(row))]
    chosen = rng.sample(places, round(rate * len(places)))
    for i, j in chosen:
        old = corpus.labels[i][j]
        corpus.labels[i][j] = rng.choice(
            SIMILAR[old] if similar else [label for label in every if label != old]
        )
    return [{place} for place in chosen]


def plant_spans(corpus: Corpus, rate: float, rng: random.Random) -> list[set[Place]]:
    """Change spans; return the tokens of each change."""
    rows = [read_spans(row) for row in corpus.labels]
    types = sorted({span.type for row in rows for span in row})
    places = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]
    planted = []
    for i, j in sorted(rng.sample(places, round(rate * len(places))), reverse=True):
        span, row = rows[i][j], rows[i]
        way = rng.choice(["type", "boundary", "removed"])
        if way == "boundary" and span.end - span.start > 1:
            start = rng.random() < 0.5
            new = Span(span.type, span.start + start, span.end - (not start))
            changed = {span.start if start else span.end - 1}
            row[j] = new
        elif way == "removed":
            changed = set(range(span.start, span.end))
            del row[j]
        else:
            changed = set(range(span.start, span.end))
            row[j] = span._replace(type=rng.choice([own for own in types if own != span.type]))
        planted.append({(i, token) for token in changed})
    for i, row in enumerate(rows):
        corpus.labels[i][:] = write_tags(row, len(corpus.words[i]), "bio")
    return planted


def precision(found: Sequence[set[Place]], planted: Sequence[set[Place]], top: int) -> float:
    """Return the share of the first `top` findings that overlap a planted error."""
    wrong = set().union(*planted)
    return float(np.mean([bool(own & wrong) for own in found[:top]]))


def average_precision(found: Sequence[set[Place]], planted: Sequence[set[Place]]) -> float:
    """Return the mean precision at the rank at which each planted error is first found."""
    owner = {place: number for number, own in enumerate(planted) for place in own}
    seen: set[int] = set()
    total, hits = 0.0, 0
    for rank, own in enumerate(found, 1):
        numbers = {owner[place] for place in own if place in owner}
        hits += bool(numbers)
        total += len(numbers - seen) * hits / rank
        seen |= numbers
    return total / len(planted)


def cleanlab_rankings(folder: Path, folds: int) -> dict[str, list[set[Place]]]:
    """Return the rankings of tokens by cleanlab, on the probabilities of the same models."""
    from cleanlab.rank import get_label_quality_scores

    rows: dict[int, tuple[list[str], Any, Any]] = {}
    for number in range(1, folds + 1):
        model = load(folder / f"fold-{number}", device="cpu")
        split = load_corpora(model.run)["planted"].splits["test"]
        examples = split.examples(range(len(split)))
        labels, found = model.probabilities([list(own.tokens) for own in examples], "own")
        for row, example, own in zip(split.rows.tolist(), examples, found, strict=True):
            rows[row] = labels, own, example.labels["own"]
    names = sorted({label for labels, _, _ in rows.values() for label in labels})
    names = sorted({*names, *(label for _, _, gold in rows.values() for label in gold)})
    index = {label: place for place, label in enumerate(names)}
    places = [(row, token) for row in sorted(rows) for token in range(len(rows[row][2]))]
    matrix = np.zeros((len(places), len(names)))
    gold = np.array([index[label] for row in sorted(rows) for label in rows[row][2]])
    start = 0
    for row in sorted(rows):
        labels, own, _ = rows[row]
        matrix[start : start + len(own), [index[label] for label in labels]] = own
        start += len(own)
    matrix /= matrix.sum(1, keepdims=True)
    rankings = {}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        scores = get_label_quality_scores(gold, matrix, method=method)
        order = np.argsort(scores, kind="stable")
        rankings[f"cleanlab, {method}"] = [{places[place]} for place in order]
    from cleanlab.filter import find_label_issues

    for rank_by in ("self_confidence", "normalized_margin"):
        order = find_label_issues(gold, matrix, return_indices_ranked_by=rank_by, n_jobs=1)
        rankings[f"cleanlab.filter, {rank_by}"] = [{places[place]} for place in order]
    return rankings


def measure(options: argparse.Namespace, rate: float, folder: Path) -> list[dict[str, Any]]:
    """Plant errors, audit them, and return the precisions by ranking."""
    corpus = read_corpus(options.kind, options.sentences, options.skip)
    rng = random.Random(options.seed)
    if options.kind == "pos":
        planted = plant_labels(corpus, rate, options.noise == "similar", rng)
    else:
        planted = plant_spans(corpus, rate, rng)
    folder.mkdir(parents=True)
    with open(folder / "data.conll", "w", encoding="utf-8") as file:
        for words, labels in zip(*corpus, strict=True):
            file.writelines(f"{w}\t{label}\n" for w, label in zip(words, labels, strict=True))
            file.write("\n")
    run = RUN.format(task=TASKS[options.kind], epochs=options.epochs)
    (folder / "run.yaml").write_text(run, encoding="utf-8")
    found = audit(folder / "run.yaml", output=folder / "audit", folds=options.folds)
    rankings = {
        "mtl audit": [
            {(issue.sentence, token) for token in range(issue.start or 0, issue.end or 0)}
            for issue in found.issues
        ]
    }
    if find_spec("cleanlab"):
        rankings |= cleanlab_rankings(folder / "audit", options.folds)
    return [
        {
            "data": options.kind,
            "noise": options.noise if options.kind == "pos" else "spans",
            "sentences": len(corpus.words),
            "rate": rate,
            "planted": len(planted),
            "ranking": name,
            "at_100": precision(own, planted, 100),
            "at_planted": precision(own, planted, len(planted)),
            "average": average_precision(own, planted),
        }
        for name, own in rankings.items()
    ]


def main() -> None:
    """Measure and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("pos", "chunks"))
    parser.add_argument("--sentences", type=int, default=2500, help="0: all")
    parser.add_argument(
        "--skip",
        type=int,
        default=3500,
        help="sentences to leave out, used for development; none if --sentences is 0",
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02])
    parser.add_argument("--noise", choices=("uniform", "similar"), default="uniform")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for the runs; default: temporary")
    parser.add_argument("--json", type=Path, help="append the results to this file")
    options = parser.parse_args()
    if options.kind == "chunks" and options.noise != "uniform":
        parser.error("--noise is for pos only")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        for rate in options.rates:
            name = f"{options.kind}-{options.noise}-{options.sentences}-{rate}"
            rows = measure(options, rate, (options.work or Path(temporary)) / name)
            print(f"\n{options.kind}, {options.noise}, {rate:.0%}, {rows[0]['planted']} planted\n")
            print("| ranking | at 100 | at planted | average |\n|---|---:|---:|---:|")
            for row in rows:
                scores = " | ".join(f"{row[k]:.3f}" for k in ("at_100", "at_planted", "average"))
                print(f"| {row['ranking']} | {scores} |", flush=True)
            if options.json:
                with open(options.json, "a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    main()

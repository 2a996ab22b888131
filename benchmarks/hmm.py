"""Parts of speech by a hidden Markov model: counts of labelled sentences, then Baum-Welch.

    MTL_DATA=… python benchmarks/hmm.py --labelled 500 --unlabelled 2000 --steps 5

It prints the accuracy on the English EWT test set by the number of steps of expectation
maximisation on further sentences, whose labels it does not see. Words of one sentence only are
unknown words.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from mtl.data.encoding import pad
from mtl.data.readers import Conllu, Record
from mtl.layers import HMM

FOLDER = Path(os.environ.get("MTL_DATA", "data")) / "ud_english_ewt"


def read(split: str, count: int | None = None) -> list[Record]:
    """Return the first sentences of a split."""
    (path,) = FOLDER.glob(f"*{split}.conllu*")
    return list(islice(Conllu().read(path), count))


def batch(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return padded ids and the mask."""
    ids, mask = pad([len(row) for row in rows], [number for row in rows for number in row])
    return torch.from_numpy(ids), torch.from_numpy(mask)


def main() -> None:
    """Train and print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=int, default=500)
    parser.add_argument("--unlabelled", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    records = read("train", options.labelled + options.unlabelled)
    first, test = records[: options.labelled], read("test")
    counts = Counter(word.lower() for record in records for word in set(record.tokens))
    known = [word for word, number in counts.items() if number > 1]
    words = {word: number for number, word in enumerate(known, 1)}  # 0 is an unknown word
    tags = sorted({tag for record in first for tag in record.columns["upos"]})

    def ids(part: Sequence[Record]) -> tuple[Tensor, Tensor]:
        return batch([[words.get(word.lower(), 0) for word in record.tokens] for record in part])

    def accuracy() -> float:
        gold = [tag for record in test for tag in record.columns["upos"]]
        sentences, mask = ids(test)
        found = [tags[i] for i in hmm.decode(sentences, mask)[mask].tolist()]
        return 100 * sum(map(str.__eq__, gold, found)) / len(gold)

    hmm = HMM(len(tags), len(words) + 1)
    labels, _ = batch([[tags.index(tag) for tag in record.columns["upos"]] for record in first])
    hmm.count(ids(first)[0], labels, ids(first)[1])
    print(f"steps 0: accuracy {accuracy():.2f}")
    sentences, mask = ids(records)
    for step in range(1, options.steps + 1):
        (likelihood,) = hmm.fit(sentences, mask)
        print(f"steps {step}: accuracy {accuracy():.2f}, log-likelihood before {likelihood:,.0f}")


if __name__ == "__main__":
    main()

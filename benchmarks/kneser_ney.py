"""Perplexity of n-gram models on WikiText-2, with the vocabulary of the language model `wikitext2`.

    MTL_DATA=… python benchmarks/kneser_ney.py

All words outside its vocabulary are one word, and ends of sentences are words, as in `mtl
evaluate`.
"""

from __future__ import annotations

import os
import time
from itertools import chain
from pathlib import Path

import numpy as np
from side_by_side import conditions, report, table

import mtl
from mtl.analysis.kneser_ney import KneserNey
from mtl.targets import NextWordTarget
from mtl.text.running import END

FOLDER = Path(os.environ.get("MTL_DATA", "data"), "wikitext-2")


def words_of(split: str) -> tuple[str, ...]:
    """Return the words of a split, with the end of each sentence; blank lines are skipped."""
    lines = (FOLDER / f"wiki.{split}.tokens").read_text(encoding="utf-8").splitlines()
    return tuple(chain.from_iterable([*line.split(), END] for line in lines if line.strip()))


def perplexity(model: KneserNey, text: np.ndarray) -> str:
    """Return the perplexity per word as a table cell."""
    return f"{np.exp(-model.log_probs(text).mean()):.1f}"


def main() -> None:
    """Measure, print and save the table."""
    target = mtl.load("wikitext2").experiment.targets["next"]
    assert isinstance(target, NextWordTarget)
    train, dev, test = (
        np.array(target.encode(words_of(split))) for split in ("train", "valid", "test")
    )
    rows = []
    for order in (1, 2, 3, 4, 5):
        began = time.thread_time()
        model = KneserNey(train, len(target.labels), order)
        spent = time.thread_time() - began
        rows.append([str(order), perplexity(model, dev), perplexity(model, test), f"{spent:.0f} s"])
    text = (
        "# N-gram models with modified Kneser–Ney smoothing, WikiText-2\n\n"
        f"{len(train):,} words, {len(target.labels):,} different ones; perplexity per word, and "
        "processor time of training.\n\n"
        f"{table(['order', 'development text', 'test text', 'training'], rows)}\n\n"
    )
    report("kneser_ney", text + conditions(["mtl", "numpy"]))


if __name__ == "__main__":
    main()

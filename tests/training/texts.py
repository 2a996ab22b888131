"""Small language models on small texts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mtl.data.corpus import Corpus, Split
from mtl.experiment import Experiment
from mtl.text.running import END
from tests.training.runs import prepared

LM = {"type": "lm", "dropout": 0.0}
NEXT = {"use": "t/next"}
BOTH = {"next": NEXT, "previous": {"use": "t/previous"}}
STREAMS = {"batch": {"streams": 2, "bptt": 6}}
STILL = {"optimizer": {"type": "sgd", "lr": 1e-30}}
"""An optimiser that changes nothing."""


def lines(number: int, seed: int) -> list[list[str]]:
    """Return sentences in which some words call for the next one."""
    draw = random.Random(seed)
    after = {"a": "b", "b": "c", "c": "a", "x": "y", "y": "x"}
    found = []
    for _ in range(number):
        words = [draw.choice("abcxy")]
        while len(words) < draw.randint(2, 9):
            words.append(after[words[-1]] if draw.random() < 0.8 else draw.choice("abcxy"))
        found.append(words)
    return found


def write(path: Path, number: int, seed: int = 1) -> list[str]:
    """Write a text and return its words, the end of each sentence included."""
    text = lines(number, seed)
    path.write_text("\n".join(" ".join(words) for words in text) + "\n", encoding="utf-8")
    return [word for words in text for word in (*words, END)]


def text_corpus(folder: Path, name: str, number: int = 20, **changes: Any) -> dict[str, Any]:
    """Write a text of so many sentences and return what a run file says of it."""
    for split, seed in {"train": 1, "dev": 2}.items():
        write(folder / f"{name}-{split}.txt", number, seed)
    task = {"head": LM, "metric": "perplexity"}
    return {
        "reader": {"type": "text"},
        "files": {split: f"{name}-{split}.txt" for split in ("train", "dev")},
        "tasks": {side: {"labels": {"text": side}, **task} for side in ("next", "previous")},
        **changes,
    }


def language_model(
    folder: Path, trunk: Mapping[str, Any], tasks: Mapping[str, Any] = BOTH, **training: Any
) -> tuple[Experiment, dict[str, Corpus]]:
    """Return a language model without dropout, in double precision, its weights off their start."""
    corpora = {"t": text_corpus(folder, "t")}
    given = {**STREAMS, "average": None, **training}
    experiment, found = prepared(folder, tasks, corpora, trunk=still(trunk), **given)
    model = experiment.model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return experiment, found


def still(trunk: Mapping[str, Any]) -> dict[str, Any]:
    return {"hidden_size": 6, "num_layers": 2, "dropout": 0.0, **trunk}


def words_of(split: Split) -> list[str]:
    """Return the words of a text, the end of each sentence included."""
    return [word for example in split for word in (*example.tokens, END)]

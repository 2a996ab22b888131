"""Compare outputs and losses of language models on WikiText-2: speed and perplexity.

    MTL_DATA=… python benchmarks/softmax.py

Every model predicts the next of all words of the training text with one LSTM layer of 100 units and
word vectors of 100, and reads the same part of the text once: 16 streams, chunks of 25 words, Adam,
a cosine schedule. The models are trained in turn, some steps each, and evaluated in turn on the
first part of the development text. Speeds are divided by that of the full softmax in the same
round. The clock is that of the thread, which stops while other programs run. Perplexity is exact
for every row.
"""

from __future__ import annotations

import mtl  # noqa: F401 (before torch, as in the command: sets how threads wait)

# isort: split
import argparse
import math
import time
from collections.abc import Callable
from functools import cache
from itertools import islice
from statistics import median
from typing import Any

import torch
from side_by_side import ROOT, conditions, report, table

from mtl.data.corpus import Corpus
from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.training.evaluation import Evaluation
from mtl.training.events import Step
from mtl.training.trainer import Trainer

STREAMS, BPTT = 16, 25
COMMON = {
    "embedding": {"words": {"dim": 100, "lowercase": False, "dropout": 0.1}},
    "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 100, "bidirectional": False},
    "trunk.dropout": 0.1,
    "training.epochs": 1,
    "training.batch": {"streams": STREAMS, "bptt": BPTT, "random_bptt": False},
    "training.optimizer": {"type": "adam", "lr": 0.005},
    "training.schedule": {"type": "cosine", "warmup": 20},
    "training.average": None,
    "training.clip_norm": 1.0,
    "training.threads": 1,
}
FULL = "full"
ROWS: dict[str, dict[str, Any]] = {
    FULL: {"output": "full"},
    "tied": {"output": "tied"},
    "adaptive": {"output": "adaptive"},
    "tied_adaptive": {"output": "tied_adaptive"},
    "differentiated": {"output": "differentiated"},
    "hierarchical, random": {"output": "hierarchical", "tree": "random"},
    "hierarchical, huffman": {"output": "hierarchical", "tree": "huffman"},
    "hierarchical, clustered": {"output": "hierarchical", "tree": "clustered"},
    "cnn, importance": {"output": "cnn", "training_loss": "importance"},
    **{
        f"full, {loss}": {"output": "full", "training_loss": loss}
        for loss in ("importance", "adaptive_importance", "targets", "nce", "self_normalised")
    },
    "full, self_normalised, a tenth": {
        "output": "full",
        "training_loss": "self_normalised",
        "normalised": 0.1,
    },
}


def trainer_of(head: dict[str, Any], steps: int, evaluated: int) -> Trainer:
    """Return a trainer that makes so many steps."""
    changes = {
        **COMMON,
        "training.epoch_steps": steps,
        "tasks.next.head": {"type": "lm", "dropout": 0.1, **head},
        "corpora.wikitext2.limit": {"dev": evaluated},
    }
    run = load_config(ROOT / "configs/papers/awd_lstm_wikitext2.yaml", changes)
    corpora = loaded(evaluated)
    return make_trainer(prepare(run, corpora), corpora)


@cache
def loaded(evaluated: int) -> dict[str, Corpus]:
    """Return the corpora, which are the same for all rows."""
    changes = {"corpora.wikitext2.limit": {"dev": evaluated}}
    return load_corpora(load_config(ROOT / "configs/papers/awd_lstm_wikitext2.yaml", changes))


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def train(trainers: dict[str, Trainer], rounds: int, steps: int) -> dict[str, list[float]]:
    """Train all models in turn, and return their seconds per round."""
    events = {
        name: (event for event in trainer.run() if isinstance(event, Step))
        for name, trainer in trainers.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(rounds):
        for name, own in events.items():
            spent[name].append(seconds(lambda own=own: [*islice(own, steps)]))  # type: ignore[misc]
    for own in events.values():
        list(own)  # the end of the epoch
    return spent


def evaluate(
    scores: dict[str, Callable[[], Evaluation]], rounds: int
) -> dict[str, tuple[float, list[float]]]:
    """Return the perplexity of every model, and its seconds per round."""
    found: dict[str, tuple[float, list[float]]] = {name: (math.nan, []) for name in scores}

    def score(name: str) -> None:
        evaluation = scores[name]()
        found[name] = evaluation.scores()["next"]["perplexity"], found[name][1]

    for _ in range(rounds):
        for name in scores:
            found[name][1].append(seconds(lambda name=name: score(name)))  # type: ignore[misc]
    return found


def ratio(full: list[float], own: list[float]) -> str:
    """Return full's seconds divided by a row's: median, smallest and largest."""
    ratios = [one / other for one, other in zip(full, own, strict=True)]
    return f"**{median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"


def main() -> None:
    """Measure, print and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=24, help="training steps per round")
    parser.add_argument("--sentences", type=int, default=200, help="of the development text")
    parser.add_argument("--evaluations", type=int, default=3, help="rounds of evaluation")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=ROWS)
    options = parser.parse_args()
    steps = options.rounds * options.steps
    names = dict.fromkeys([FULL, *options.rows])
    trainers = {name: trainer_of(ROWS[name], steps, options.sentences) for name in names}
    torch.set_num_threads(1)
    scores = {name: trainer.evaluate for name, trainer in trainers.items()}
    for trainer in trainers.values():
        trainer.evaluate = None  # not within a round
    spent = train(trainers, options.rounds, options.steps)
    found = evaluate(scores, options.evaluations)
    rows = [
        [
            name,
            ratio(spent[FULL], spent[name]),
            ratio(found[FULL][1], found[name][1]),
            f"{found[name][0]:.0f}",
        ]
        for name in names
    ]
    words = steps * STREAMS * BPTT
    head = ["", "training speed", "evaluation speed", "perplexity"]
    text = (
        f"# Outputs and losses of language models\n\n"
        f"WikiText-2, {words:,} words read once, {options.sentences} sentences of development text,"
        f" 1 thread.\nSpeeds are multiples of the full softmax, which trains on "
        f"{words / sum(spent[FULL]):,.0f} words per second: median (least–largest) over "
        f"{options.rounds} rounds of {options.steps} steps, and {options.evaluations} rounds of "
        f"evaluation.\n\n"
        f"{table(head, rows)}\n\n"
    )
    report("softmax", text + conditions(["mtl", "torch"]))


if __name__ == "__main__":
    main()

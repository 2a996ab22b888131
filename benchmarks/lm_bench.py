"""Compare the training speed of language models with a plain version of the awd-lstm-lm recipe.

    MTL_DATA=… python benchmarks/lm_bench.py --threads 1

All models predict the next of WikiText-2's 33,278 words with three LSTM layers of 400 units, word
vectors of 200, 40 streams and chunks of 35 words. Training uses SGD, clipping, dropout on words,
layers and weights, and activation penalties.

"plain" is this recipe in plain torch: nn.LSTM, with dropped weights assigned to it, and the scores
of all words at once. As in awd-lstm-lm, its last layer is as wide as a word vector; mtl has a
projection there. mtl runs the committed configs through its Trainer. The QRNN has as many weights
as the LSTM.
"""

from __future__ import annotations

import mtl  # noqa: F401 (before torch, as in the command: sets how threads wait)

# isort: split
import argparse
from collections.abc import Callable
from itertools import islice

import torch
from side_by_side import ROOT, alternate, conditions, ratio, report, speed, table
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.training.events import Step

WORDS, WIDTH, HIDDEN, STREAMS, BPTT = 33_278, 200, 400, 40, 35
CONTESTANTS = {
    "mtl LSTM": ("lstm", {"trunk.hidden_size": HIDDEN}),
    "mtl LSTM, tied_adaptive": (
        "lstm",
        {"trunk.hidden_size": HIDDEN, "tasks.next.head.output": "tied_adaptive"},
    ),
    "mtl QRNN": ("qrnn", {"trunk.hidden_size": 560}),
    "mtl QRNN, tied_adaptive": (
        "qrnn",
        {"trunk.hidden_size": 560, "tasks.next.head.output": "tied_adaptive"},
    ),
}


class Plain(nn.Module):
    """The recipe of Merity et al. (2017) in plain torch, as in their program."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)
        self.bias = nn.Parameter(torch.zeros(WORDS))
        sizes = [WIDTH, HIDDEN, HIDDEN, WIDTH]
        self.layers = nn.ModuleList(map(nn.LSTM, sizes, sizes[1:]))

    def forward(self, words: Tensor, following: Tensor, state: list) -> tuple[Tensor, list]:
        """Return the loss of `[T, B]` words, with penalties, and the final state."""
        rows = functional.dropout(torch.ones(WORDS, 1), 0.1) * self.words.weight
        x = locked(functional.embedding(words, rows), 0.3)
        after = []
        for layer, carried in zip(self.layers, state, strict=True):
            dropped = {"weight_hh_l0": functional.dropout(layer.weight_hh_l0, 0.5)}
            raw, new = functional_call(layer, dropped, (x, carried))
            after.append(tuple(part.detach() for part in new))
            x = locked(raw, 0.4 if len(after) == len(self.layers) else 0.3)
        scores = functional.linear(x, self.words.weight, self.bias)
        loss = functional.cross_entropy(scores.flatten(0, 1), following.flatten())
        loss = loss + 2 * x.pow(2).mean() + (raw[1:] - raw[:-1]).pow(2).mean()
        return loss, after


def locked(x: Tensor, p: float) -> Tensor:
    """Drop the same units of `[T, B, H]` at every step."""
    return x * functional.dropout(torch.ones_like(x[:1]), p)


def plain_steps(steps: int) -> Callable[[], int]:
    """Return a function that runs some steps of the plain recipe."""
    model = Plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1.2e-6)
    text = torch.randint(WORDS, (BPTT + 1, STREAMS))
    state: list = [None] * 3

    def work() -> int:
        nonlocal state
        for _ in range(steps):
            optimizer.zero_grad()
            loss, state = model(text[:-1], text[1:], state)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
        return steps * BPTT * STREAMS

    return work


def mtl_steps(name: str, changes: dict[str, object], steps: int) -> Callable[[], int]:
    """Return a function that runs some steps of a committed run, with other sizes."""
    sizes = {
        "embedding.words.dim": WIDTH,
        "trunk.last_size": None,
        "training.batch.streams": STREAMS,
        "training.batch.bptt": BPTT,
        "training.optimizer.lr": 0.1,
        "training.device": "cpu",
    }
    run = load_config(ROOT / f"configs/papers/awd_{name}_wikitext2.yaml", {**sizes, **changes})
    corpora = load_corpora(run)
    trainer = make_trainer(prepare(run, corpora), corpora)
    trainer.evaluate = None
    events = (event for event in trainer.run() if isinstance(event, Step))
    return lambda: sum(sum(step.tokens.values()) for step in islice(events, steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="training steps per round")
    options = parser.parse_args()
    contestants = {
        name: mtl_steps(config, changes, options.steps)
        for name, (config, changes) in CONTESTANTS.items()
    }
    torch.set_num_threads(options.threads)
    plain = plain_steps(options.steps)
    found = alternate({"plain": plain, **contestants}, options.rounds)
    rows = [[name, speed(own), ratio(own, found["plain"])] for name, own in found.items()]
    text = f"# Training of language models, {options.threads} threads\n\n"
    text += table(["", "tokens/s", "times plain"], rows) + "\n\n"
    report("lm", text + conditions(["mtl", "torch"]))


if __name__ == "__main__":
    main()

"""Compare output layers of language models with the cross entropy of all scores: memory and time.

A step is the loss of 40 × 70 tokens of width 400, forward and backward, with gradients with respect
to hidden states and weights. Targets are drawn by Zipf's law. Memory is measured in a separate
process, as the highest resident size during a step minus the size before it; gradients are
included.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from side_by_side import conditions, report, table, times_as_long
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers import (
    AdaptiveSoftmax,
    FullSoftmax,
    MixtureOfSoftmaxes,
    TiedAdaptiveSoftmax,
    TiedSoftmax,
)

TOKENS, WIDTH = 40 * 70, 400
MANY_WORDS, WORDS = 100_000, 33_278
CUTOFFS = [2_000, 10_000]


class Whole(FullSoftmax):
    """Computes the scores of all words at once."""

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Takes the arguments of the class that it replaces."""
        return functional.cross_entropy(self.output(hidden), targets, reduction="none")


class TorchAdaptive(nn.AdaptiveLogSoftmaxWithLoss):
    """torch's adaptive softmax, with the interface of ours."""

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the losses; see `mtl.layers.NextWord.loss`."""
        return -self(hidden, targets).output


def vectors(words: int) -> nn.Parameter:
    """Return an embedding."""
    return nn.Parameter(torch.empty(words, WIDTH).uniform_(-0.1, 0.1))


WHOLE = "all scores at once"
LAYERS: dict[str, Callable[[int], nn.Module]] = {
    WHOLE: lambda words: Whole(WIDTH, words),
    "full": lambda words: FullSoftmax(WIDTH, words),
    "tied": lambda words: TiedSoftmax(WIDTH, vectors(words)),
    "mixture of 2": lambda words: MixtureOfSoftmaxes(WIDTH, vectors(words), num_softmaxes=2),
    "tied adaptive": lambda words: TiedAdaptiveSoftmax(WIDTH, vectors(words), cutoffs=CUTOFFS),
    "adaptive": lambda words: AdaptiveSoftmax(WIDTH, words, cutoffs=CUTOFFS),
    "adaptive, torch's own": lambda words: TorchAdaptive(WIDTH, words, CUTOFFS),
}


def text(words: int, tokens: int = TOKENS) -> tuple[Tensor, Tensor]:
    """Return hidden states and targets; word r has a probability of about 1 / r."""
    targets = torch.multinomial(1 / (torch.arange(words) + 2.7), tokens, replacement=True)
    return torch.randn(tokens, WIDTH, requires_grad=True), targets


def step(layer: nn.Module, hidden: Tensor, targets: Tensor) -> None:
    """Run a layer forward and backward."""
    hidden.grad = None
    layer.zero_grad()
    layer.loss(hidden, targets).mean().backward()


def extra_memory(name: str) -> int:
    """Return the peak growth of this process in bytes, during the first step of a layer."""
    make = LAYERS[name]
    step(
        make(CUTOFFS[-1] + 1), *text(CUTOFFS[0], tokens=8)
    )  # the initial allocations of torch do not count
    layer, tokens = make(MANY_WORDS), text(MANY_WORDS)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    step(layer, *tokens)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - pages * os.sysconf(
        "SC_PAGESIZE"
    )


def in_own_process(name: str, threads: int) -> str:
    """Return the extra memory of a layer as a table cell."""
    command = [sys.executable, __file__, "--threads", str(threads), "--memory-of", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"{int(done.stdout) / 1e9:.2f} GB"


def main() -> None:
    """Measure, print and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", choices=LAYERS, help="print the extra memory of one layer")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    if options.memory_of:
        print(extra_memory(options.memory_of))
        return
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    tokens = text(WORDS)
    whole = partial(step, LAYERS[WHOLE](WORDS), *tokens)
    rows = [
        [
            name,
            in_own_process(name, options.threads),
            times_as_long(partial(step, make(WORDS), *tokens), whole, options.rounds, clock),
        ]
        for name, make in LAYERS.items()
    ]
    head = ["", f"extra memory, {MANY_WORDS:,} words", f"time ÷ all at once, {WORDS:,} words"]
    body = (
        f"# Losses of language models\n\n{TOKENS:,} tokens of width {WIDTH}, forward and backward; "
        f"{options.threads} threads.\nTime: median over {options.rounds} rounds "
        f"(least–largest).\n\n{table(head, rows)}\n\n{conditions(['torch'])}"
    )
    report("lm_loss", body)


if __name__ == "__main__":
    main()

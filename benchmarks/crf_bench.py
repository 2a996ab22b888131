"""Compare the CRF with pytorch-crf, with and without compiled operators: speed and accuracy.

Lengths are drawn uniformly from 1 to T. The loss and its gradients are measured through the public
layers, including their checks. The forward pass is the log partition alone, without these checks.
Best paths are Python lists, as in pytorch-crf.

Errors are measured on the gradients with respect to the emissions and the weights: the largest
difference from pytorch-crf in float64, divided by the largest gradient.

With --semirings, the operators are compared with the recursion in semirings instead (Goodman 1999),
which is their reference: log Z, scores of best paths, and the largest relative difference.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from os import environ

import torch
from side_by_side import conditions, report, table, times_as_long
from torch import Tensor, nn
from torchcrf import CRF as TorchCRF

from mtl.layers import CRF
from mtl.ops import crf_log_partition, crf_viterbi
from mtl.ops.crf import LIBRARY
from mtl.ops.crf_semirings import best, fold, logarithm, walk

SHAPES = [(32, 35, 17), (32, 100, 9), (64, 50, 70)]
"""(B, T, K): chunks, entities, fine parts of speech."""


class Pair:
    """Both layers with the same weights, and a batch."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        torch.manual_seed(1)
        batch, steps, labels = shape
        self.theirs, self.ours = TorchCRF(labels, batch_first=True), CRF(labels)
        self.ours.load_state_dict(self.theirs.state_dict())
        lengths = torch.randint(1, steps + 1, (batch, 1))
        lengths[0] = steps
        self.lengths = lengths.squeeze(1).tolist()
        self.mask = torch.arange(steps) < lengths
        self.emissions = torch.randn(shape, requires_grad=True)
        self.tags = torch.randint(labels, (batch, steps))

    def step(self, layer: nn.Module) -> Callable[[], object]:
        """Return a function that computes the loss and its gradients."""

        def work() -> None:
            layer.zero_grad()
            self.emissions.grad = None
            (-layer(self.emissions, self.tags, self.mask, reduction="sum")).backward()

        return work

    def forward(self, rounds: int, clock: Callable[[], float]) -> str:
        """Measure the log partition alone."""
        scores = self.ours.transitions, self.ours.start_transitions, self.ours.end_transitions
        first = self.emissions.transpose(0, 1), self.mask.transpose(0, 1)
        with torch.no_grad():
            return times_as_long(
                lambda: self.theirs._compute_normalizer(*first),
                lambda: crf_log_partition(self.emissions, *scores, self.mask),
                rounds,
                clock,
            )

    def decoding(self, rounds: int, clock: Callable[[], float]) -> str:
        """Measure best paths."""

        def lists() -> list[list[int]]:
            paths = self.ours.decode(self.emissions, self.mask).tolist()
            return [path[:length] for path, length in zip(paths, self.lengths, strict=True)]

        with torch.no_grad():
            assert lists() == self.theirs.decode(self.emissions, self.mask)
            return times_as_long(
                lambda: self.theirs.decode(self.emissions, self.mask), lists, rounds, clock
            )

    def gradients(self, layer: nn.Module) -> list[Tensor]:
        """Return the gradients with respect to the emissions and the weights."""
        self.step(layer)()
        weights = [layer.transitions, layer.start_transitions, layer.end_transitions]
        return [x.grad.double() for x in (self.emissions, *weights)]

    def errors(self) -> list[str]:
        """Return the largest relative error of the gradients, ours and theirs."""
        single = [self.gradients(layer) for layer in (self.ours, self.theirs)]
        exact = Pair.__new__(Pair)
        exact.__dict__ = self.__dict__ | {
            "theirs": self.theirs.double(),
            "emissions": self.emissions.detach().double().requires_grad_(),
        }
        truth = exact.gradients(exact.theirs)
        worst = [
            max(
                ((x - y).abs().max() / y.abs().max()).item() for x, y in zip(xs, truth, strict=True)
            )
            for xs in single
        ]
        return [f"{error:.0e}" for error in worst]

    def semirings(self, rounds: int, clock: Callable[[], float]) -> list[str]:
        """Measure the recursion in semirings against the operators, and compare the values."""
        weights = self.ours.transitions, self.ours.start_transitions, self.ours.end_transitions
        chain, mask = (self.emissions, *weights), self.mask
        pairs: list[tuple[Callable[[], Tensor], Callable[[], Tensor]]] = [
            (lambda: fold(logarithm, mask, chain)[0], lambda: crf_log_partition(*chain, mask)),
            (lambda: walk(best, mask, chain)[1], lambda: crf_viterbi(*chain, mask)[1]),
        ]
        with torch.no_grad():
            assert torch.equal(walk(best, mask, chain)[0], crf_viterbi(*chain, mask)[0])
            times = [times_as_long(*pair, rounds, clock) for pair in pairs]
            differences = [((one() - two()) / two()).abs().max().item() for one, two in pairs]
        return [*times, *(f"{difference:.0e}" for difference in differences)]


def main() -> None:
    """Measure, print and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only-loss", action="store_true", help="print only the loss column")
    parser.add_argument("--semirings", action="store_true", help="compare with semirings")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    pairs = [Pair(shape) for shape in SHAPES]
    if options.semirings:
        _semirings(pairs, options.rounds, clock)
        return
    losses = [times_as_long(p.step(p.theirs), p.step(p.ours), options.rounds, clock) for p in pairs]
    if options.only_loss:
        print(*losses, sep="\n")
        return
    command = [sys.executable, *sys.argv, "--only-loss"]
    plain = subprocess.check_output(command, env=environ | {"MTL_NO_EXT": "1"}, text=True)
    rows = [
        [
            str(shape),
            loss,
            pair.forward(options.rounds, clock),
            pair.decoding(options.rounds, clock),
            without,
            *pair.errors(),
        ]
        for shape, pair, loss, without in zip(
            SHAPES, pairs, losses, plain.splitlines(), strict=True
        )
    ]
    head = [
        "(B, T, K), float32",
        "loss and gradients",
        "log partition",
        "best paths",
        "loss and gradients, not compiled",
        "error of our gradients",
        "error of their gradients",
    ]
    about = (
        f"# CRF\n\nTime of pytorch-crf ÷ time of mtl; {options.threads} threads. Median over "
        f"{options.rounds} rounds (smallest–largest). Errors compared with float64."
    )
    _report("crf", about, head, rows)


def _semirings(pairs: list[Pair], rounds: int, clock: Callable[[], float]) -> None:
    """Compare the recursion in semirings with the operators, print and save the table."""
    rows = [
        [str(shape), *pair.semirings(rounds, clock)]
        for shape, pair in zip(SHAPES, pairs, strict=True)
    ]
    head = ["(B, T, K), float32", "log Z", "best paths", "difference of log Z", "of best scores"]
    about = (
        "# CRF in semirings\n\nTime of the recursion in semirings ÷ time of the operators. Median "
        f"over {rounds} rounds (smallest–largest). Differences are relative to the value."
    )
    _report("crf_semirings", about, head, rows)


def _report(name: str, about: str, head: list[str], rows: list[list[str]]) -> None:
    """Print and save a table and its conditions."""
    text = (
        f"{about}\n\n{table(head, rows)}\n\n{conditions(['torch', 'pytorch-crf'])}\n"
        f"- Instruction set: {LIBRARY.instruction_set or LIBRARY.missing}"
    )
    report(name, text)


if __name__ == "__main__":
    main()

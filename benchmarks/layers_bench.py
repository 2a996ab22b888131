"""Compare the QRNN layer with `torch.nn.LSTM`: a training step, two directions, one short sentence.

Both layers map I numbers per token to H. A step is a forward and a backward pass, with gradients
with respect to the input and the weights. The number of operations per second in the matrix
products shows how near each layer is to the limit of the processor. Per token, an LSTM has 4 (I +
H) H products, and a QRNN with window w has 3 w I H.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from side_by_side import conditions, report, table, times_as_long
from torch import Tensor, nn

from mtl.layers import QRNN
from mtl.ops import fo_pool
from mtl.ops.pool import LIBRARY

SHAPES = [(100, 32, 400, 400), (512, 8, 256, 256), (35, 20, 400, 1150), (35, 20, 1150, 1150)]
BOTH_WAYS = [(35, 32, 200, 200), (100, 32, 400, 200)]
"""(T, B, I, H)."""
SENTENCE = 25
WIDTHS = [200, 400, 1150]
Compare = Callable[[Callable[[], object], Callable[[], object]], str]


def step(layer: nn.Module, x: Tensor) -> None:
    """Run a layer forward and backward."""
    x.grad = None
    layer.zero_grad()
    layer(x)[0].sum().backward()


def training(shape: tuple[int, ...], both: bool, compare: Compare) -> list[str]:
    """Return the table cells of one shape: the speed-up, and the share of pooling in the time."""
    steps, batch, inputs, width = shape
    x = torch.randn(batch, steps, inputs, requires_grad=True)
    lstm = nn.LSTM(inputs, width, batch_first=True, bidirectional=both)
    qrnns = [QRNN(inputs, width, window=window, bidirectional=both) for window in (1, 2)]
    cells = [compare(partial(step, lstm, x), partial(step, qrnn, x)) for qrnn in qrnns]
    gates = torch.randn(batch, steps, (1 + both) * 3 * width, requires_grad=True)
    by_h = torch.randn(batch, steps, (1 + both) * width)

    def pool() -> None:
        gates.grad = None
        fo_pool(gates, bidirectional=both)[0].backward(by_h)

    label = f"({steps}, {batch}, {inputs}→{'2×' * both}{width})"
    # Forward and backward are three matrix products, with two operations per number.
    tokens = 6 * steps * batch * (1 + both)
    work = {
        partial(step, lstm, x): 4 * (inputs + width) * width,
        partial(step, qrnns[0], x): 3 * inputs * width,
        partial(step, qrnns[1], x): 6 * inputs * width,
    }
    speeds = [billions(run, tokens * products) for run, products in work.items()]
    return [label, *cells, compare(pool, partial(step, qrnns[0], x)), " · ".join(speeds)]


def billions(work: Callable[[], object], operations: int) -> str:
    """Return the billions of operations per second of a function, in the best of five calls."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return f"{operations / min(times) / 1e9:.0f}"


def sentence(width: int, compare: Compare) -> list[str]:
    """Return the table cells of one sentence without gradients."""
    x = torch.randn(1, SENTENCE, width)
    lstm = nn.LSTM(width, width, batch_first=True).eval()
    qrnns = [QRNN(width, width, window=window).eval() for window in (1, 2)]
    with torch.no_grad():
        times = [compare(partial(lstm, x), partial(qrnn, x)) for qrnn in qrnns]
    return [f"H = {width}", *times]


def main() -> None:
    """Measure, print and save the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    compare = partial(times_as_long, rounds=options.rounds, clock=clock)
    short = partial(times_as_long, rounds=20 * options.rounds, clock=clock)
    steps = [training(shape, False, compare) for shape in SHAPES]
    steps += [training(shape, True, compare) for shape in BOTH_WAYS]
    head = ["(T, B, I→H)", "LSTM ÷ QRNN, window 1", "window 2", "pooling ÷ layer, window 1"]
    with_speeds = [*head, "10⁹ operations/s: LSTM · QRNN 1 · QRNN 2"]
    text = (
        f"# Layers\n\nTime of `torch.nn.LSTM` ÷ time of the QRNN, per training step; "
        f"{options.threads} threads.\nMedian over {options.rounds} rounds (smallest–largest).\n\n"
        f"{table(with_speeds, steps)}\n\nOne sentence of {SENTENCE} tokens, inference:\n\n"
        f"{table(['', *head[1:3]], [sentence(width, short) for width in WIDTHS])}\n\n"
        f"{conditions(['torch'])}\n"
        f"- Instruction set: {LIBRARY.instruction_set or LIBRARY.missing}"
    )
    report("layers", text)


if __name__ == "__main__":
    main()

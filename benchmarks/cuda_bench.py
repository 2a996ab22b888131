"""Compare pooling on a GPU with a copy of the same bytes, and a QRNN layer with cuDNN's LSTM.

A unit is B·T·H numbers. The forward pass reads three units (the gates) and writes h, in training
also the states. The backward pass reads gates, states and the gradient, and writes the gradient
with respect to the gates. The lower bound is `b.copy_(a)` with the same number of bytes, reads and
writes included.

Both are replayed from CUDA graphs of many calls, so neither waits for Python; small tensors stay in
the second-level cache. The layers run as a user runs them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from side_by_side import conditions, report, table, times_as_long
from torch import nn

from mtl.layers import QRNN
from mtl.ops.pool import CUDA_LIBRARY

Work = Callable[[], object]
SHAPES = [(35, 20, 1150), (70, 80, 1150), (100, 32, 400), (512, 8, 256)]
"""(T, B, H), as in papers on language models and taggers."""
LAYERS = [(70, 80, 400, 1150), (70, 80, 1150, 1150)]
"""(T, B, I, H)."""
TYPES = [torch.float32, torch.bfloat16]
CALLS = 50


def clock() -> float:
    """Wait until the GPU has finished, and return the time."""
    torch.cuda.synchronize()
    return time.perf_counter()


def replayed(work: Work) -> Work:
    """Return a graph of many calls of a function."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            work()
    return graph.replay


def copy(units: float, size: int, dtype: torch.dtype) -> Work:
    """Return a function that copies this many units: half are reads and half are writes."""
    source = torch.randn(int(units * size) // 2, device="cuda").to(dtype)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def pooling(shape: tuple[int, int, int], dtype: torch.dtype, rounds: int) -> list[str]:
    """Return the table cells of one shape and type."""
    steps, batch, width = shape
    gates = torch.randn(batch, steps, 3 * width, device="cuda").to(dtype)
    rest = (gates, None, None, None)
    options = 3, False, 1
    pool, backward = torch.ops.mtl.pool, torch.ops.mtl.pool_backward
    h, last, states = pool(*rest, *options, True)
    given = torch.randn_like(h), torch.zeros_like(last), *rest, states, *options
    pairs: list[tuple[Work, float]] = [
        (lambda: pool(*rest, *options, False), 4),
        (lambda: pool(*rest, *options, True), 5),
        (lambda: backward(*given), 8),
        (lambda: torch.ops.mtl.pool_backward_(*given), 8),
    ]
    cells = [
        times_as_long(replayed(work), replayed(copy(units, h.numel(), dtype)), rounds, clock)
        for work, units in pairs
    ]
    return [f"({steps}, {batch}, {width})", str(dtype).removeprefix("torch."), *cells]


def step(layer: nn.Module, x: torch.Tensor) -> None:
    """Run a layer forward and backward."""
    x.grad = None
    layer.zero_grad()
    layer(x)[0].sum().backward()


def layers(shape: tuple[int, int, int, int], dtype: torch.dtype, rounds: int) -> list[str]:
    """Return the table cells of one shape and type: the speed-up of a training step."""
    steps, batch, inputs, width = shape
    x = torch.randn(batch, steps, inputs, device="cuda").to(dtype).requires_grad_()
    lstm = nn.LSTM(inputs, width, batch_first=True).to("cuda", dtype)
    cells = []
    for window in (1, 2):
        qrnn = QRNN(inputs, width, window=window).to("cuda", dtype)
        cells.append(times_as_long(partial(step, lstm, x), partial(step, qrnn, x), rounds, clock))
    label = f"({steps}, {batch}, {inputs}→{width})"
    return [label, str(dtype).removeprefix("torch."), *cells]


def main() -> None:
    """Measure, print and save the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    if not torch.cuda.is_available():
        print("cuda_bench: no CUDA device found; nothing was measured")
        return
    pools = [pooling(shape, dtype, rounds) for dtype in TYPES for shape in SHAPES]
    steps = [layers(shape, dtype, rounds) for dtype in TYPES for shape in LAYERS]
    head = ["(T, B, H)", "type", "forward, inference", "forward, training", "backward", "in place"]
    text = (
        "# Pooling on a GPU\n\nTime of fo_pool ÷ time of copying the same bytes. Median over "
        f"{rounds} rounds (smallest–largest).\n\n{table(head, pools)}\n\n"
        "Time of cuDNN's LSTM ÷ time of the QRNN, per training step:\n\n"
        f"{table(['(T, B, I→H)', 'type', 'window 1', 'window 2'], steps)}\n\n"
        f"{conditions(['torch'])}\n- {torch.cuda.get_device_name()}, operators built for "
        f"{CUDA_LIBRARY.instruction_set or CUDA_LIBRARY.missing}"
    )
    report("cuda", text)


if __name__ == "__main__":
    main()

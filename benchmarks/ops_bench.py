"""Pooling beside copying its bytes once, and its reference beside the compiled operator.

A unit is B·T·H numbers. Forward reads three units (the gates) and writes h, in training also the
states; backward reads gates, states and the gradient, and writes the gradient by the gates. The
floor is `b.copy_(a)` of as many bytes, read and write counted, in turn with the operator. The
operators allocate their results, the copy does not: above 32 MB glibc gives memory back and takes
it anew at each call, unless MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ are set higher.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from side_by_side import conditions, report, table, times_as_long

from mtl.ops.pool import LIBRARY, fo_pool
from mtl.ops.reference import pool_backward_reference, pool_reference

Work = Callable[[], object]
SHAPES = [(35, 20, 1150), (70, 80, 1150), (100, 32, 400), (512, 8, 256)]
"""(T, B, H), as in papers on language models and taggers."""


def copy(units: float, size: int) -> Work:
    """Return the copying of so many units, half of them read and half written."""
    source = torch.randn(int(units * size) // 2)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def row(shape: tuple[int, int, int], rounds: int, clock: Callable[[], float]) -> list[str]:
    """Return the cells of one shape."""
    steps, batch, width = shape
    gates = torch.randn(batch, steps, 3 * width)
    rest = (gates, None, None, None)
    pool, backward = torch.ops.mtl.pool, torch.ops.mtl.pool_backward
    h, last, states = pool(*rest, 3, False, True)
    by_h, by_last = torch.randn_like(h), torch.zeros_like(last)
    leaf = gates.clone().requires_grad_()

    def both() -> None:
        leaf.grad = None
        fo_pool(leaf)[0].backward(by_h)

    size = h.numel()
    pairs: list[tuple[Work, Work]] = [
        (lambda: pool(*rest, 3, False, False), copy(4, size)),
        (lambda: pool(*rest, 3, False, True), copy(5, size)),
        (lambda: backward(by_h, by_last, *rest, states, 3, False), copy(8, size)),
        (both, copy(13, size)),
        (
            lambda: pool_backward_reference(
                by_h, by_last, *rest, pool_reference(*rest, 3, False, True)[2], 3, False
            ),
            lambda: backward(by_h, by_last, *rest, pool(*rest, 3, False, True)[2], 3, False),
        ),
    ]
    cells = [times_as_long(one, other, rounds, clock) for one, other in pairs]
    return [f"({steps}, {batch}, {width})", *cells]


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    head = [
        "(T, B, H), float32",
        "forward, inference",
        "forward, training",
        "backward",
        "both, with autograd",
        "reference / compiled, both",
    ]
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    rows = [row(shape, options.rounds, clock) for shape in SHAPES]
    text = (
        f"# Pooling\n\nTime of fo_pool ÷ time of copying the same bytes; {options.threads} "
        f"threads. Median over {options.rounds} rounds (least–largest).\n\n"
        f"{table(head, rows)}\n\n{conditions(['torch'])}\n"
        f"- Instruction set: {LIBRARY.instruction_set or LIBRARY.missing}"
    )
    report("ops", text)


if __name__ == "__main__":
    main()

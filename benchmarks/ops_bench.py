"""Compare pooling with copying the same bytes and with loops in plain torch; measure call overhead.

A unit is B·T·H numbers. The forward pass reads three units (the gates) and writes h, in training
also the states. The backward pass reads gates, states and the gradient, and writes the gradient
with respect to the gates; in a layer, it overwrites the gates. The lower bound is `b.copy_(a)` with
the same number of bytes, reads and writes included, measured in turn with the operator.

The operators allocate their results and the copy does not. Above 32 MB, glibc returns memory to the
system and allocates it anew at each call, unless MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_
are set higher.

The loops are the one over steps that pytorch-qrnn runs on a CPU, with a list of states that is
stacked at the end, and our own reference, which runs without a compiler.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from side_by_side import conditions, report, table, times_as_long
from torch import Tensor

from mtl.ops.pool import LIBRARY, fo_pool
from mtl.ops.pool_reference import pool_backward_reference, pool_reference

Work = Callable[[], object]
Compare = Callable[[Work, Work], str]
SHAPES = [(35, 20, 1150), (70, 80, 1150), (100, 32, 400), (512, 8, 256)]
"""(T, B, H), as in papers on language models and taggers."""


def copy(units: float, size: int) -> Work:
    """Return a function that copies this many units: half are reads and half are writes."""
    source = torch.randn(int(units * size) // 2)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def looped(gates: Tensor) -> Tensor:
    """Return h of fo-pooling, with a list of states and three graph nodes per step; time first.

    As in the code released with the paper, f is the weight of the new value here.
    """
    z, f, o = gates.chunk(3, dim=2)
    z, f, o = z.tanh(), f.sigmoid(), o.sigmoid()
    c, states = None, []
    for new, kept in zip((f * z).unbind(0), f.unbind(0), strict=True):
        c = new if c is None else new + (1 - kept) * c
        states.append(c)
    return o * torch.stack(states)


def given(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return gates, and gradients with respect to h and to the last state."""
    steps, batch, width = shape
    return (
        torch.randn(batch, steps, 3 * width),
        torch.randn(batch, steps, width),
        torch.zeros(batch, width),
    )


def beside_copying(shape: tuple[int, int, int], compare: Compare) -> list[str]:
    """Return the table cells of one shape: operator time relative to a copy."""
    gates, by_h, by_last = given(shape)
    rest, kind = (gates, None, None, None), (3, False, 1)
    pool, ops, size = torch.ops.mtl.pool, torch.ops.mtl, by_h.numel()
    states = pool(*rest, *kind, True)[2]
    over, leaf = gates.clone(), gates.clone().requires_grad_()

    def both() -> None:
        leaf.grad = None
        fo_pool(leaf)[0].backward(by_h)

    back = (None, None, None, states, *kind)
    pairs: list[tuple[Work, Work]] = [
        (lambda: pool(*rest, *kind, False), copy(4, size)),
        (lambda: pool(*rest, *kind, True), copy(5, size)),
        (lambda: ops.pool_backward(by_h, by_last, gates, *back), copy(8, size)),
        (lambda: ops.pool_backward_(by_h, by_last, over, *back), copy(8, size)),
        (both, copy(13, size)),
    ]
    return [label(shape), *(compare(one, other) for one, other in pairs)]


def beside_loops(shape: tuple[int, int, int], compare: Compare) -> list[str]:
    """Return the table cells of one shape: loop time relative to the operator, with gradients."""
    gates, by_h, by_last = given(shape)
    leaf = gates.clone().requires_grad_()
    time_first = gates.transpose(0, 1).contiguous().requires_grad_()
    by_time_first = by_h.transpose(0, 1).contiguous()

    def loop() -> None:
        time_first.grad = None
        looped(time_first).backward(by_time_first)

    def compiled() -> None:
        leaf.grad = None
        fo_pool(leaf)[0].backward(by_h)

    def reference() -> None:
        states = pool_reference(gates, None, None, None, 3, False, 1, True)[2]
        pool_backward_reference(by_h, by_last, gates, None, None, None, states, 3, False, 1)

    return [label(shape), compare(loop, compiled), compare(loop, reference)]


def label(shape: tuple[int, int, int]) -> str:
    """Return the name of a row."""
    return f"({', '.join(map(str, shape))})"


def microseconds(work: Work, rounds: int) -> str:
    """Return the median time of a call."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return f"{1e6 * median(times):.0f} µs"


def calls(rounds: int) -> list[list[str]]:
    """Return the time of calls with almost nothing to compute."""
    gates, by_h, _ = given((2, 1, 16))
    leaf = gates.clone().requires_grad_()
    works: dict[str, Work] = {
        "`fo_pool` without gradients": lambda: fo_pool(gates),
        "`fo_pool` forward and backward": lambda: fo_pool(leaf)[0].backward(by_h),
    }
    return [[name, microseconds(work, rounds)] for name, work in works.items()]


def main() -> None:
    """Measure, print and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    compare = partial(times_as_long, rounds=options.rounds, clock=clock)
    shape = "(T, B, H), float32"
    copies = [
        shape,
        "forward, inference",
        "forward, training",
        "backward",
        "backward over the gates",
        "both, with autograd",
    ]
    loops = [shape, "loop ÷ compiled", "loop ÷ reference"]
    text = (
        f"# Pooling\n\nTime of fo_pool ÷ time of copying the same bytes; {options.threads} "
        f"threads. Median over {options.rounds} rounds (smallest–largest).\n\n"
        f"{table(copies, [beside_copying(shape, compare) for shape in SHAPES])}\n\n"
        "Time of the loop over steps, as pytorch-qrnn has it for CPUs, ÷ time of fo_pool, "
        "forwards and backwards:\n\n"
        f"{table(loops, [beside_loops(shape, compare) for shape in SHAPES])}\n\n"
        f"A call with almost nothing to compute:\n\n"
        f"{table(['', 'time'], calls(100 * options.rounds))}\n\n{conditions(['torch'])}\n"
        f"- Instruction set: {LIBRARY.instruction_set or LIBRARY.missing}"
    )
    report("ops", text)


if __name__ == "__main__":
    main()

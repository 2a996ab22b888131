"""The kernels of the GPU, compiled for the processor and called as the operators are."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from ctypes import byref, c_bool, c_int64, c_void_p
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).parents[2] / "csrc/cuda/pool.cu"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
SHAPE = ["sentences", "steps", "width", "count", "directions"]


def fields(numbers: str = "", pointers: str = "") -> list[tuple[str, type]]:
    return [(x, c_int64) for x in numbers.split()] + [(x, c_void_p) for x in pointers.split()]


class Batch(ctypes.Structure):
    """As in csrc/pool.h, and so are the others."""

    _fields_ = [
        *fields(" ".join(SHAPE)),
        ("reverse", c_bool),
        *fields(pointers="gates"),
        *fields("gates_sentence gates_step", "c0 lengths keep"),
    ]


class Forward(Batch):
    _fields_ = fields(pointers="h last states")


class Backward(Batch):
    _fields_ = [
        *fields(pointers="states by_h"),
        *fields("by_h_sentence by_h_step", "by_last by_gates"),
        *fields("by_gates_sentence by_gates_step", "by_c0"),
    ]


def pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


class Emulation:
    """The operators, on tensors of the processor: c0, lengths and the like contiguous."""

    device = "cpu"

    def __init__(self, folder: Path) -> None:
        path = folder / "emulation.so"
        flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-x", "c++"]
        header = ["-include", str(Path(__file__).parent / "emulated_gpu.h")]
        subprocess.run([COMPILER, *flags, *header, SOURCE, "-o", path], check=True)
        self.library = ctypes.CDLL(str(path))

    def _fill(self, batch: Batch, gates, c0, lengths, keep, count, reverse, directions) -> None:
        sentences, steps, columns = gates.shape
        width = columns // count // directions
        for name, value in zip(SHAPE, (sentences, steps, width, count, directions), strict=True):
            setattr(batch, name, value)
        batch.reverse = reverse
        batch.gates, batch.c0 = gates.data_ptr(), pointer(c0)
        batch.gates_sentence, batch.gates_step, _ = gates.stride()
        batch.lengths, batch.keep = pointer(lengths), pointer(keep)

    def pool(self, gates, c0, lengths, keep, count, reverse, directions, save):
        batch = Forward()
        self._fill(batch, gates, c0, lengths, keep, count, reverse, directions)
        columns = batch.width * directions
        h, states = (gates.new_full((*gates.shape[:2], columns), torch.nan) for _ in range(2))
        last = gates.new_full((gates.shape[0], columns), torch.nan)
        batch.h, batch.last = h.data_ptr(), last.data_ptr()
        batch.states = states.data_ptr() if save and count > 2 else None
        assert self.library.mtl_cuda_forward(byref(batch), TYPES.index(gates.dtype), None) == 0
        return h, last, states if save and count > 2 else gates.new_empty(0)

    def pool_backward(self, by_h, by_last, gates, *rest):
        by_gates = torch.full_like(gates, torch.nan)
        return by_gates, self._back(by_h, by_last, gates, by_gates, *rest)

    def pool_backward_(self, by_h, by_last, gates, *rest):
        return self._back(by_h, by_last, gates, gates, *rest)

    def _back(
        self, by_h, by_last, gates, by_gates, c0, lengths, keep, states, count, reverse, directions
    ) -> Tensor:
        batch = Backward()
        self._fill(batch, gates, c0, lengths, keep, count, reverse, directions)
        by_c0 = torch.full_like(by_last, torch.nan)
        batch.states, batch.by_h, batch.by_last = map(pointer, (states, by_h, by_last))
        batch.by_h_sentence, batch.by_h_step, _ = by_h.stride()
        batch.by_gates, batch.by_c0 = by_gates.data_ptr(), by_c0.data_ptr()
        batch.by_gates_sentence, batch.by_gates_step, _ = by_gates.stride()
        assert self.library.mtl_cuda_backward(byref(batch), TYPES.index(gates.dtype), None) == 0
        return by_c0

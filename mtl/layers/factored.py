"""Stacked weights of several tasks as products of smaller tensors. Letters: M tasks, K bases."""

from __future__ import annotations

from math import ceil
from typing import Literal

import torch
from torch import Tensor, nn

from mtl.errors import OptionError

Factors = Literal["last_axis", "tucker", "tensor_train"]


class FactoredStack(nn.Module):
    """W_m = Σ_k s_mk B_k: the weights of each task mix common bases (Yang & Hospedales 2017).

    The bases can be factorised as well:

    - "last_axis": full bases, a factorisation of the matrix with one row per task (Kumar & Daumé
      2012).
    - "tucker": B = C ×₁ U₁ ×₂ U₂ …, a core tensor and one matrix per axis.
    - "tensor_train": B = G₁ · G₂ …, a chain with one tensor per axis.

    The initial value is the decomposition of a stack: SVD, HOSVD (De Lathauwer et al. 2000) or
    TT-SVD (Oseledets 2011). At full rank it is exact.

    Args:
        stack: The initial weights, `[M, D_1, …, D_n]`.
        factors: The factorisation.
        rank: Rank along each axis or link, as a share of the full rank in (0, 1], rounded up.

    Raises:
        ValueError: `rank` is not in (0, 1].
    """

    def __init__(self, stack: Tensor, factors: Factors, rank: float) -> None:
        super().__init__()
        if not 0 < rank <= 1:
            raise OptionError("rank", f"expected a share of the full rank in (0, 1], got {rank}")
        self.tucker = factors == "tucker"
        with torch.no_grad():
            if self.tucker:
                tensors = _tucker(stack, rank)
            else:
                links = 1 if factors == "last_axis" else max(1, stack.ndim - 1)
                tensors = _train(stack, rank, links)
        mix, *parts = (nn.Parameter(tensor.contiguous()) for tensor in tensors)
        self.mix = mix
        """s, `[M, K]`."""
        self.parts = nn.ParameterList(parts)

    def bases(self) -> Tensor:
        """Return B, `[K, D_1, …, D_n]`."""
        bases: Tensor
        bases, *others = self.parts
        # tensordot contracts axis 1 of the core and appends the new axis at the end, so axis 1 is
        # always the next one to contract, and all axes end up in their order.
        axes = ([1], [1]) if self.tucker else 1
        for other in others:
            bases = torch.tensordot(bases, other, axes)
        return bases

    def forward(self) -> Tensor:
        """Return W, `[M, D_1, …, D_n]`."""
        weights: Tensor = torch.tensordot(self.mix, self.bases(), 1)
        return weights


def _split(matrix: Tensor, rank: float) -> tuple[Tensor, Tensor]:
    """Return U `[A, R]` and S V `[R, B]`, the truncated SVD of a matrix `[A, B]`."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    size = ceil(rank * len(values) - 1e-9)  # in floating point 0.1 · 30 exceeds 3
    return left[:, :size], values[:size, None] * right[:size]


def _train(stack: Tensor, rank: float, links: int) -> list[Tensor]:
    """Return the tensors of a tensor train, by one truncated SVD per link."""
    tensors, left, shape = [], 1, stack.shape
    remainder = stack.reshape(len(stack), -1)
    for axis in range(links):
        factor, remainder = _split(remainder.reshape(left * shape[axis], -1), rank)
        tensors.append(factor.reshape(left, shape[axis], -1))
        left = len(remainder)
    return [tensors[0][0], *tensors[1:], remainder.reshape(left, *shape[links:])]


def _tucker(stack: Tensor, rank: float) -> list[Tensor]:
    """Return the matrix of the first axis, the core, and the matrices of the other axes."""
    matrices, core = [], stack
    for axis, size in enumerate(stack.shape):
        matrix, _ = _split(stack.movedim(axis, 0).reshape(size, -1), rank)
        matrices.append(matrix)
        core = torch.tensordot(core, matrix, ([0], [0]))  # replaces axis 0 by its rank, put last
    return [matrices[0], core, *matrices[1:]]

"""Weights of several tasks, stacked, as a product of smaller tensors. Letters: M tasks, K bases."""

from __future__ import annotations

from math import ceil
from typing import Literal

import torch
from torch import Tensor, nn

from mtl.errors import OptionError

Factors = Literal["last_axis", "tucker", "tensor_train"]


class FactoredStack(nn.Module):
    """W_m = Σ_k s_mk B_k: tasks mix common bases (Yang & Hospedales 2017).

    The bases may be products themselves. "last_axis": they are not, which is the factorisation of
    a matrix with one task a row (Kumar & Daumé 2012). "tucker": B = C ×₁ U₁ ×₂ U₂ …, a core with a
    matrix for each axis. "tensor_train": B = G₁ · G₂ …, a chain of tensors, each an axis long.

    It starts as the decomposition of a stack: by SVD, HOSVD (De Lathauwer et al. 2000) or TT-SVD
    (Oseledets 2011), which at full rank is exact.

    Args:
        stack: What it starts from, `[M, D_1, …, D_n]`.
        factors: Which factorisation.
        rank: Share of the full rank that is kept along each axis or link, rounded up; in (0, 1].
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
        # Of a core each matrix takes the next axis, and puts its own behind all others.
        axes = ([1], [1]) if self.tucker else 1
        for other in others:
            bases = torch.tensordot(bases, other, axes)
        return bases

    def forward(self) -> Tensor:
        """Return W, `[M, D_1, …, D_n]`."""
        weights: Tensor = torch.tensordot(self.mix, self.bases(), 1)
        return weights


def _split(matrix: Tensor, rank: float) -> tuple[Tensor, Tensor]:
    """Return U `[A, R]` and S V `[R, B]`, the largest singular values of a matrix `[A, B]`."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    kept = ceil(rank * len(values) - 1e-9)  # 0.1 of 30 is 3
    return left[:, :kept], values[:kept, None] * right[:kept]


def _train(stack: Tensor, rank: float, links: int) -> list[Tensor]:
    """Return the tensors of a chain, each split off what is left of the stack."""
    tensors, left, shape = [], 1, stack.shape
    rest = stack.reshape(len(stack), -1)
    for axis in range(links):
        own, rest = _split(rest.reshape(left * shape[axis], -1), rank)
        tensors.append(own.reshape(left, shape[axis], -1))
        left = len(rest)
    return [tensors[0][0], *tensors[1:], rest.reshape(left, *shape[links:])]


def _tucker(stack: Tensor, rank: float) -> list[Tensor]:
    """Return the matrix of the first axis, the core, and the matrices of the other axes."""
    matrices, core = [], stack
    for axis, size in enumerate(stack.shape):
        matrix, _ = _split(stack.movedim(axis, 0).reshape(size, -1), rank)
        matrices.append(matrix)
        core = torch.tensordot(core, matrix, ([0], [0]))  # the axis goes, its rank comes last
    return [matrices[0], core, *matrices[1:]]

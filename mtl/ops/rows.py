"""Recurrent layers over rows of a table. Letters: B sentences, T tokens, U words, H width.

A row holds the products of a word's vector with the input weights of a layer, biases included. They
are the same wherever the word occurs, so prediction computes them once per word. The operators read
the rows where they are, and have no gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mtl.ops.library import warn_reference
from mtl.ops.pool import LIBRARY
from mtl.ops.qrnn import COUNTS, QRNNPooling
from mtl.ops.rows_reference import cell_rows_reference, pool_rows_reference

_OPERATORS = torch.library.Library("mtl", "FRAGMENT")
_ROWS = "Tensor table, Tensor ids, Tensor lengths, Tensor? start"
for _schema in (
    # Rows are [window, directions, count, H]; start is [1, directions · H].
    f"pool_rows({_ROWS}, int window, int count, bool reverse, int directions) -> Tensor",
    # The recurrent weights [G · H, H] in the order that the loops read them.
    "pack_cell(Tensor weights) -> Tensor",
    # Rows are [directions, count, H]; start is [2, directions · H] for an LSTM (count 4), else
    # [1, directions · H]; weights are packed, [directions, …]; bias is [directions, H] for a GRU.
    f"cell_rows({_ROWS}, Tensor weights, Tensor? bias, int count, bool reverse, int directions) "
    "-> Tensor",
):
    _OPERATORS.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))


def _warned(kernel: Any) -> Any:
    def run(table: Tensor, *arguments: Any) -> Tensor:
        warn_reference("a layer over rows", table.device.type, LIBRARY.missing)
        found: Tensor = kernel(table, *arguments)
        return found

    return run


_OPERATORS.impl("pool_rows", _warned(pool_rows_reference), "CompositeExplicitAutograd")
_OPERATORS.impl("cell_rows", _warned(cell_rows_reference), "CompositeExplicitAutograd")
_OPERATORS.impl("pack_cell", lambda weights: weights.flatten(), "CompositeExplicitAutograd")


@torch.library.register_fake("mtl::pool_rows", lib=_OPERATORS)
def _pool_shape(table: Tensor, ids: Tensor, *arguments: Any) -> Tensor:
    window, count = arguments[2:4]
    return table.new_empty(*ids.shape, table.shape[1] // (window * count), dtype=torch.float32)


@torch.library.register_fake("mtl::cell_rows", lib=_OPERATORS)
def _cell_shape(table: Tensor, ids: Tensor, *arguments: Any) -> Tensor:
    return table.new_empty(*ids.shape, table.shape[1] // arguments[4], dtype=torch.float32)


def pool_rows(
    table: Tensor,
    ids: Tensor,
    lengths: Tensor,
    start: Tensor | None = None,
    *,
    window: int = 1,
    pooling: QRNNPooling = "fo",
    reverse: bool = False,
    bidirectional: bool = False,
) -> Tensor:
    """Return the outputs of a QRNN layer, `[B, T, H]` or `[B, T, 2H]`, zero on padding.

    Args:
        table: `[U, N]`, N = window · directions · gates · H, float32 or float16. Part k of a row is
            added to the gates k tokens later in reading order; part 0 includes the bias.
        ids: The row of each token, `[B, T]` int64.
        lengths: `[B]` int64, the number of real tokens of each sentence, which come first.
        start: The state before the first token, `[H]` or `[2H]`; None means zeros.
        window: The number of parts of a row.
        pooling: "f", "fo" or "ifo".
        reverse: Whether the (first) direction runs from right to left.
        bidirectional: Whether there is a second direction, which runs in the opposite order.
    """
    first = None if start is None else start.unsqueeze(0)
    h: Tensor = torch.ops.mtl.pool_rows(
        table, ids, lengths, first, window, COUNTS[pooling], reverse, 1 + bidirectional
    )
    return h


def pack_cells(weights: list[Tensor]) -> Tensor:
    """Return recurrent weights in the order that `cell_rows` reads them.

    Args:
        weights: One matrix `[G · H, H]` per direction, as `weight_hh_l0` of torch's layers.
    """
    return torch.stack([torch.ops.mtl.pack_cell(matrix) for matrix in weights])


def lstm_rows(
    table: Tensor,
    ids: Tensor,
    lengths: Tensor,
    weights: Tensor,
    start: Tensor | None = None,
    *,
    bidirectional: bool = False,
) -> Tensor:
    """Return the outputs of an LSTM layer, `[B, T, H]` or `[B, T, 2H]`, zero on padding.

    Args:
        table: `[U, directions · 4H]`: W x + both biases, in torch's order of gates.
        ids: The row of each token, `[B, T]` int64.
        lengths: `[B]` int64, the number of real tokens of each sentence, which come first.
        weights: The result of `pack_cells`.
        start: h and c before the first token, `[2, directions · H]`; None means zeros.
        bidirectional: Whether there is a second direction, which reads from right to left.
    """
    h: Tensor = torch.ops.mtl.cell_rows(
        table, ids, lengths, start, weights, None, 4, False, 1 + bidirectional
    )
    return h


def gru_rows(
    table: Tensor,
    ids: Tensor,
    lengths: Tensor,
    weights: Tensor,
    bias: Tensor,
    start: Tensor | None = None,
    *,
    bidirectional: bool = False,
) -> Tensor:
    """Return the outputs of a GRU layer, `[B, T, H]` or `[B, T, 2H]`, zero on padding.

    Args:
        table: `[U, directions · 3H]`: W x + the input bias, and for the first two gates + the
            recurrent bias, in torch's order of gates.
        ids: The row of each token, `[B, T]` int64.
        lengths: `[B]` int64, the number of real tokens of each sentence, which come first.
        weights: The result of `pack_cells`.
        bias: The recurrent bias of the third gate, `[directions, H]`.
        start: h before the first token, `[1, directions · H]`; None means zeros.
        bidirectional: Whether there is a second direction, which reads from right to left.
    """
    h: Tensor = torch.ops.mtl.cell_rows(
        table, ids, lengths, start, weights, bias, 3, False, 1 + bidirectional
    )
    return h

"""The compiled functions, on NumPy arrays. Letters: B sentences, T tokens, H width, K labels.

`include/mtl_runtime.h` documents the same functions for C. Numbers are float32, ids and lengths
int64; arrays that are not contiguous are copied. `lengths` `[B]` are the numbers of real tokens,
which come first in a sentence; None means that all are real. Outputs are zero on padding. With two
directions, they stand side by side in a row; `reverse` makes the first one read from right to left,
and the second one reads in the opposite order. A wrong argument raises a ValueError.
"""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import Any

import numpy as np

LIBRARY = Path(__file__).with_name("libmtl_runtime.so")
"""The compiled library, for programs in C. Its header is `include/mtl_runtime.h`."""

try:
    _library = ctypes.CDLL(str(LIBRARY))
except OSError as error:
    raise ImportError(
        f"the compiled library of mtl-runtime cannot be loaded ({error}); in a checkout, build it "
        "with `cd runtime && python setup.py build_ext --inplace`"
    ) from error

_call = _library.mtl_call
_call.argtypes = [ctypes.c_int, ctypes.c_char_p]
_library.mtl_error.restype = ctypes.c_char_p
_library.mtl_instruction_set.restype = ctypes.c_char_p
for _name in ("mtl_cell_packed_size", "mtl_linear_packed_size"):
    getattr(_library, _name).argtypes = [ctypes.c_int64, ctypes.c_int64]
    getattr(_library, _name).restype = ctypes.c_int64

# The order of mtl_call in csrc/runtime.cpp.
(
    _LENGTHS,
    _POOL_ROWS,
    _POOL,
    _CELL_PACK,
    _CELL_ROWS,
    _LINEAR_PACK,
    _LINEAR,
    _VITERBI,
    _MARGINALS,
    _LOG_PARTITION,
) = range(10)

_pack = {count: struct.Struct(f"{count}q").pack for count in (4, 7, 9, 11, 14, 17)}
_WRONG = {2: "ids", 3: "lengths", 4: "mask"}
"""The arguments that error codes of the library are about."""
_NO_MEMORY = 6

_FLOAT, _INT, _BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_)
_memory: Any = (ctypes.c_char * 0).from_buffer
_addressof = ctypes.addressof
_empty = np.empty


class _Address(int):
    """The address of an array that lives as long as the address."""

    array: np.ndarray


def _at(array: Any, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Return the address of an array or of a contiguous copy; raise an error if it does not fit."""
    try:
        if array.dtype is dtype and array.shape == shape:
            return _addressof(_memory(array))  # takes a quarter of the time of `array.ctypes.data`
    except (AttributeError, BufferError, TypeError, ValueError):
        pass  # no array, not contiguous, or not to be written to
    _shape(array, name, len(shape))
    if array.dtype != dtype:
        raise ValueError(f"{name}: expected {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected the shape {list(shape)}, got {list(array.shape)}")
    contiguous = np.ascontiguousarray(array)
    address = _Address(contiguous.ctypes.data)
    address.array = contiguous
    return address


def _shape(array: Any, name: str, dimensions: int) -> Any:
    """Return the sizes of an array; raise an error if it has not so many dimensions."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: expected a NumPy array, got {type(array).__name__}")
    if array.ndim != dimensions:
        raise ValueError(f"{name}: expected {dimensions} dimensions, got {list(array.shape)}")
    return array.shape


def _aligned(count: int) -> np.ndarray:
    """Return an uninitialised array whose vectors do not straddle lines of the cache."""
    memory = _empty(count + 16, _FLOAT)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + count]


def _run(function: int, *arguments: int) -> None:
    code = _call(function, _pack[len(arguments)](*arguments))
    if code:
        told = _library.mtl_error(code).decode()
        if code == _NO_MEMORY:
            raise MemoryError(told)
        raise ValueError(f"{_WRONG[code]}: {told}" if code in _WRONG else told)


def _expect_gates(count: int, counts: tuple[int, ...], directions: int) -> None:
    if count not in counts:
        raise ValueError(f"count: expected one of {counts}, got {count}")
    if directions not in (1, 2):
        raise ValueError(f"directions: expected 1 or 2, got {directions}")


def _parts(size: int, name: str, parts: int) -> int:
    if size % parts:
        raise ValueError(f"{name}: expected a multiple of {parts} numbers per row, got {size}")
    return size // parts


def instruction_set() -> str:
    """Return "base", "avx2" or "avx512": the best of the processor, at most `$MTL_ISA`."""
    name: str = _library.mtl_instruction_set().decode()
    return name


def pool_rows(
    table: np.ndarray,
    ids: np.ndarray,
    lengths: np.ndarray | None,
    start: np.ndarray | None = None,
    window: int = 1,
    count: int = 3,
    reverse: bool = False,
    directions: int = 1,
) -> np.ndarray:
    """Return the outputs of a QRNN layer over rows of a table, `[B, T, directions · H]`.

    Args:
        table: `[U, window · directions · count · H]`. Part k of a row is added to the gates k
            tokens later in reading order.
        ids: The row of each token, `[B, T]`, valid on padding, too.
        lengths: `[B]` or None.
        start: The first state, `[directions · H]` or `[1, directions · H]`; None means zero.
        window: The number of parts of a row.
        count: The number of gates: 2 for f, 3 for fo, 4 for ifo pooling.
        reverse: Whether the (first) direction runs from right to left.
        directions: 1 or 2.
    """
    _expect_gates(count, (2, 3, 4), directions)
    if window < 1:
        raise ValueError(f"window: expected at least 1, got {window}")
    rows, stride = _shape(table, "table", 2)
    sentences, steps = _shape(ids, "ids", 2)
    width = _parts(stride, "table", window * directions * count)
    row = directions * width
    lengths_at = start_at = 0
    if lengths is not None:
        lengths_at = _at(lengths, "lengths", _INT, (sentences,))
    if start is not None:
        start_at = _at(
            start, "start", _FLOAT, (1, row) if getattr(start, "ndim", 0) == 2 else (row,)
        )
    h = _empty((sentences, steps, row), _FLOAT)
    _run(
        _POOL_ROWS,
        _at(table, "table", _FLOAT, (rows, stride)),
        rows,
        stride,
        _at(ids, "ids", _INT, (sentences, steps)),
        *(sentences, steps, lengths_at, start_at),
        *(width, window, count, reverse, directions, _addressof(_memory(h))),
    )
    return h


def pool(
    gates: np.ndarray,
    c0: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    count: int = 3,
    reverse: bool = False,
    directions: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs `[B, T, directions · H]` and last states `[B, directions · H]` of pooling.

    Args:
        gates: `[B, T, directions · count · H]`, before their activations.
        c0: The first states, `[B, directions · H]`; None means zero.
        lengths: `[B]` or None.
        count: The number of gates: 2 for f, 3 for fo, 4 for ifo pooling.
        reverse: Whether the (first) direction runs from right to left.
        directions: 1 or 2.
    """
    _expect_gates(count, (2, 3, 4), directions)
    sentences, steps, size = _shape(gates, "gates", 3)
    width = _parts(size, "gates", directions * count)
    row = directions * width
    c0_at = lengths_at = 0
    if c0 is not None:
        c0_at = _at(c0, "c0", _FLOAT, (sentences, row))
    if lengths is not None:
        lengths_at = _at(lengths, "lengths", _INT, (sentences,))
    h = _empty((sentences, steps, row), _FLOAT)
    last = _empty((sentences, row), _FLOAT)
    _run(
        _POOL,
        _at(gates, "gates", _FLOAT, (sentences, steps, size)),
        *(c0_at, lengths_at, sentences, steps, width, count, reverse, directions),
        *(_addressof(_memory(h)), _addressof(_memory(last))),
    )
    return h, last


def pack_cell(weights: np.ndarray) -> np.ndarray:
    """Return recurrent weights in the order that `cell_rows` reads them.

    The order depends on the processor: do not save it.

    Args:
        weights: `[count · H, H]`, as `weight_hh_l0` of torch's layers, of one direction.
    """
    rows, width = _shape(weights, "weights", 2)
    if width == 0 or rows not in (3 * width, 4 * width):
        raise ValueError(
            f"weights: expected [3 · H, H] or [4 · H, H] and H > 0, got {[rows, width]}"
        )
    count = rows // width
    packed = _aligned(_library.mtl_cell_packed_size(count, width))
    at = _at(weights, "weights", _FLOAT, (rows, width))
    _run(_CELL_PACK, at, count, width, _addressof(_memory(packed)))
    return packed


def cell_rows(
    table: np.ndarray,
    ids: np.ndarray | None,
    lengths: np.ndarray | None,
    start: np.ndarray | None,
    packed: np.ndarray,
    bias: np.ndarray | None = None,
    count: int = 4,
    reverse: bool = False,
    directions: int = 1,
    shape: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return the outputs of an LSTM or GRU layer over rows of a table, `[B, T, directions · H]`.

    Args:
        table: `[U, directions · count · H]`: the products with the input weights, with both biases;
            for the last gate of a GRU with the input bias only.
        ids: The row of each token, `[B, T]`, valid on padding, too. None: the rows of the tokens
            themselves, in the order of `shape`.
        lengths: `[B]` or None.
        start: The first state, h and for an LSTM then c, `[count - 2, directions · H]`, or
            `[B, count - 2, directions · H]`; None means zero.
        packed: The results of `pack_cell`, `[directions, …]`.
        bias: The recurrent bias of the last gate of a GRU, `[directions, H]`; None for an LSTM.
        count: The number of gates: 4 for an LSTM, 3 for a GRU.
        reverse: Whether the (first) direction runs from right to left.
        directions: 1 or 2.
        shape: (B, T) where ids are None.
    """
    return _cell_rows(
        table, ids, lengths, start, packed, bias, count, reverse, directions, shape, None
    )


def _cell_rows(
    table: np.ndarray,
    ids: np.ndarray | None,
    lengths: np.ndarray | None,
    start: np.ndarray | None,
    packed: np.ndarray,
    bias: np.ndarray | None,
    count: int,
    reverse: bool,
    directions: int,
    shape: tuple[int, int] | None,
    cells: np.ndarray | None,
) -> np.ndarray:
    _expect_gates(count, (3, 4), directions)
    rows, stride = _shape(table, "table", 2)
    width = _parts(stride, "table", directions * count)
    row = directions * width
    ids_at = lengths_at = start_at = start_stride = bias_at = 0
    if ids is not None:
        sentences, steps = _shape(ids, "ids", 2)
        ids_at = _at(ids, "ids", _INT, (sentences, steps))
    elif shape is not None:
        sentences, steps = shape
        if sentences < 0 or steps < 0 or sentences * steps != rows:
            raise ValueError(f"shape: expected B · T = {rows} rows of the table, got {shape}")
    else:
        raise ValueError("shape: expected (B, T) where ids are None")
    if lengths is not None:
        lengths_at = _at(lengths, "lengths", _INT, (sentences,))
    if start is not None:
        if getattr(start, "ndim", 0) == 3:
            start_stride = (count - 2) * row
            start_at = _at(start, "start", _FLOAT, (sentences, count - 2, row))
        else:
            start_at = _at(start, "start", _FLOAT, (count - 2, row))
    size = _library.mtl_cell_packed_size(count, width)
    if (bias is None) == (count == 3):
        raise ValueError("bias: expected [directions, H] for 3 gates, None for 4")
    if bias is not None:
        bias_at = _at(bias, "bias", _FLOAT, (directions, width))
    h = _empty((sentences, steps, row), _FLOAT)
    _run(
        _CELL_ROWS,
        _at(table, "table", _FLOAT, (rows, stride)),
        *(rows, stride, ids_at, sentences, steps, lengths_at, start_at, start_stride),
        _at(packed, "packed", _FLOAT, (directions, size)),
        *(bias_at, width, count, reverse, directions, _addressof(_memory(h))),
        0 if cells is None else _addressof(_memory(cells)),
    )
    return h


def _products(
    x: np.ndarray, h0: np.ndarray, count: int, weights: tuple[Any, ...]
) -> tuple[np.ndarray, tuple[int, int], np.ndarray, np.ndarray]:
    """Return x W + bias, (B, T), the packed recurrent weights and their bias."""
    w_ih, w_hh, b_ih, b_hh = weights
    sentences, steps, inputs = _shape(x, "x", 3)
    width = _shape(h0, "h0", 3)[2]
    _at(x, "x", _FLOAT, x.shape)
    _at(h0, "h0", _FLOAT, (1, sentences, width))
    if not isinstance(w_ih, PackedLinear):
        _at(w_ih, "w_ih", _FLOAT, (count * width, inputs))
        w_ih = pack_linear(w_ih)
    elif (w_ih.outputs, w_ih.inputs) != (count * width, inputs):
        raise ValueError(f"w_ih: expected the weights [{count * width}, {inputs}], packed")
    size = _library.mtl_cell_packed_size(count, width)
    if not (isinstance(w_hh, np.ndarray) and w_hh.shape == (size,)):
        _at(w_hh, "w_hh", _FLOAT, (count * width, width))
        w_hh = pack_cell(w_hh)
    _at(b_ih, "b_ih", _FLOAT, (count * width,))
    _at(b_hh, "b_hh", _FLOAT, (count * width,))
    bias = b_ih.copy()
    inside = count * width if count == 4 else 2 * width
    bias[:inside] += b_hh[:inside]
    products = linear(x.reshape(sentences * steps, inputs), w_ih, bias)
    return products, (sentences, steps), w_hh[np.newaxis], b_hh[inside:]


def lstm(
    x: np.ndarray,
    h0: np.ndarray,
    c0: np.ndarray,
    w_ih: np.ndarray | PackedLinear,
    w_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the outputs `[B, T, H]` and the last h and c `[1, B, H]` of an LSTM layer.

    Args:
        x: `[B, T, D]`; all tokens are real.
        h0: `[1, B, H]`.
        c0: `[1, B, H]`.
        w_ih: `[4 · H, D]`, as in torch.nn.LSTM, and so are the others; or the result of
            `pack_linear`, which saves time.
        w_hh: `[4 · H, H]`, or the result of `pack_cell`.
        b_ih: `[4 · H]`.
        b_hh: `[4 · H]`.
    """
    products, shape, packed, _ = _products(x, h0, 4, (w_ih, w_hh, b_ih, b_hh))
    _at(c0, "c0", _FLOAT, h0.shape)
    start = np.stack((h0[0], c0[0]), axis=1)
    cells = _empty(h0.shape, _FLOAT)
    out = _cell_rows(products, None, None, start, packed, None, 4, False, 1, shape, cells)
    return out, out[np.newaxis, :, -1].copy() if shape[1] else h0.copy(), cells


def gru(
    x: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray | PackedLinear,
    w_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs `[B, T, H]` and the last h `[1, B, H]` of a GRU layer.

    The arguments are those of `lstm`, with three gates.
    """
    products, shape, packed, bias = _products(x, h0, 3, (w_ih, w_hh, b_ih, b_hh))
    start = np.ascontiguousarray(h0[0][:, np.newaxis])
    out = cell_rows(products, None, None, start, packed, bias[np.newaxis], 3, shape=shape)
    return out, out[np.newaxis, :, -1].copy() if shape[1] else h0.copy()


class PackedLinear:
    """The weights of a linear layer in the order that `linear` reads them."""

    __slots__ = ("address", "inputs", "outputs", "weights")

    def __init__(self, weights: np.ndarray, outputs: int, inputs: int) -> None:
        self.weights, self.outputs, self.inputs = weights, outputs, inputs
        self.address = _addressof(_memory(weights))


def pack_linear(weight: np.ndarray) -> PackedLinear:
    """Return the weights of a linear layer in the order that `linear` reads them.

    Args:
        weight: `[K, D]`, as `weight` of torch.nn.Linear.
    """
    outputs, inputs = _shape(weight, "weight", 2)
    packed = _aligned(_library.mtl_linear_packed_size(outputs, inputs))
    at = _at(weight, "weight", _FLOAT, (outputs, inputs))
    _run(_LINEAR_PACK, at, outputs, inputs, _addressof(_memory(packed)))
    return PackedLinear(packed, outputs, inputs)


def linear(x: np.ndarray, packed: PackedLinear, bias: np.ndarray | None = None) -> np.ndarray:
    """Return x times the transposed weights, plus the bias, `[N, K]`.

    A row of the result does not depend on the other rows, nor on their number.

    Args:
        x: `[N, D]`.
        packed: The result of `pack_linear`.
        bias: `[K]`; None means zero.
    """
    if not isinstance(packed, PackedLinear):
        raise ValueError("packed: expected the result of pack_linear")
    outputs, inputs = packed.outputs, packed.inputs
    rows = _shape(x, "x", 2)[0]
    bias_at = 0
    if bias is not None:
        bias_at = _at(bias, "bias", _FLOAT, (outputs,))
    y = _empty((rows, outputs), _FLOAT)
    at = _at(x, "x", _FLOAT, (rows, inputs))
    _run(_LINEAR, at, rows, packed.address, bias_at, outputs, inputs, _addressof(_memory(y)))
    return y


def _labelled(
    function: int,
    emissions: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    mask: np.ndarray | None,
    dimensions: int,
    dtype: np.dtype[Any],
) -> np.ndarray:
    """Return the output array of a CRF function: the first dimensions of the emissions."""
    sentences, steps, labels = _shape(emissions, "emissions", 3)
    if labels == 0:
        raise ValueError("emissions: expected at least one label")
    lengths_at = 0
    if mask is not None:
        lengths = _empty(sentences, _INT)
        lengths_at = _addressof(_memory(lengths))
        _run(_LENGTHS, _at(mask, "mask", _BOOL, (sentences, steps)), sentences, steps, lengths_at)
    found = _empty(emissions.shape[:dimensions], dtype)
    _run(
        function,
        _at(emissions, "emissions", _FLOAT, (sentences, steps, labels)),
        _at(transitions, "transitions", _FLOAT, (labels, labels)),
        _at(start, "start", _FLOAT, (labels,)),
        _at(end, "end", _FLOAT, (labels,)),
        *(lengths_at, sentences, steps, labels, _addressof(_memory(found))),
    )
    return found


def viterbi(
    emissions: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Return the best path of each sentence, `[B, T]` int64, 0 on padding.

    Args:
        emissions: `[B, T, K]`. A score of minus infinity forbids the label or transition.
        transitions: `[K, K]`, from label (row) to label (column).
        start: `[K]`.
        end: `[K]`.
        mask: `[B, T]` bool, True on real tokens, which come first; None: all are real.
    """
    return _labelled(_VITERBI, emissions, transitions, start, end, mask, 2, _INT)


def marginals(
    emissions: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Return the probability of each label at each token, `[B, T, K]`, zero on padding.

    The arguments are those of `viterbi`.
    """
    return _labelled(_MARGINALS, emissions, transitions, start, end, mask, 3, _FLOAT)


def log_partition(
    emissions: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Return the logarithm of the sum over all paths of e^score, `[B]`.

    The arguments are those of `viterbi`.
    """
    return _labelled(_LOG_PARTITION, emissions, transitions, start, end, mask, 1, _FLOAT)

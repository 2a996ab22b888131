"""The compiled functions, on NumPy arrays. Letters: B sentences, T tokens, H width, K labels.

`include/mtl_runtime.h` documents the same functions for C. Numbers are float32, ids and lengths
int64. `lengths` `[B]` are the numbers of real tokens, which come first in a sentence; None means that
all are real. Outputs are zero on padding. With two directions, they stand side by side in a row;
`reverse` makes the first one read from right to left, and the second one reads in the opposite order.
A wrong argument raises a ValueError.
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
_byte = ctypes.c_char.from_buffer
_addressof = ctypes.addressof
_empty = np.empty


def _address(array: np.ndarray) -> int:
    """Return the address of an array that is contiguous."""
    try:
        return _addressof(_byte(array))  # takes a quarter of the time of `array.ctypes.data`
    except (TypeError, ValueError):  # arrays that may not be written to, or are empty
        return array.ctypes.data


def _checked(array: Any, name: str, dtype: np.dtype[Any], shape: tuple[int | None, ...]) -> Any:
    """Return an array, made contiguous, or raise an error. None stands for any size."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: expected a NumPy array, got {type(array).__name__}")
    if array.dtype is not dtype and array.dtype != dtype:
        raise ValueError(f"{name}: expected {dtype}, got {array.dtype}")
    if array.shape != shape:
        fits = array.ndim == len(shape)
        for size, wanted in zip(array.shape, shape, strict=False):
            fits = fits and (wanted is None or size == wanted)
        if not fits:
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"{name}: expected the shape [{sizes}], got {list(array.shape)}")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


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
        table: `[U, window · directions · count · H]`. Part k of a row is added to the gates k tokens
            later in reading order.
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
    table = _checked(table, "table", _FLOAT, (None, None))
    ids = _checked(ids, "ids", _INT, (None, None))
    rows, stride = table.shape
    sentences, steps = ids.shape
    width = _parts(stride, "table", window * directions * count)
    row = directions * width
    lengths_at = start_at = 0
    if lengths is not None:
        lengths = _checked(lengths, "lengths", _INT, (sentences,))
        lengths_at = _address(lengths)
    if start is not None:
        start = _checked(start, "start", _FLOAT, (row,) if start.ndim == 1 else (1, row))
        start_at = _address(start)
    h = _empty((sentences, steps, row), _FLOAT)
    _run(
        _POOL_ROWS,
        *(_address(table), rows, stride, _address(ids), sentences, steps, lengths_at, start_at),
        *(width, window, count, reverse, directions, _address(h)),
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
    gates = _checked(gates, "gates", _FLOAT, (None, None, None))
    sentences, steps, size = gates.shape
    width = _parts(size, "gates", directions * count)
    row = directions * width
    c0_at = lengths_at = 0
    if c0 is not None:
        c0 = _checked(c0, "c0", _FLOAT, (sentences, row))
        c0_at = _address(c0)
    if lengths is not None:
        lengths = _checked(lengths, "lengths", _INT, (sentences,))
        lengths_at = _address(lengths)
    h = _empty((sentences, steps, row), _FLOAT)
    last = _empty((sentences, row), _FLOAT)
    _run(
        _POOL,
        *(_address(gates), c0_at, lengths_at, sentences, steps, width, count, reverse, directions),
        *(_address(h), _address(last)),
    )
    return h, last


def pack_cell(weights: np.ndarray) -> np.ndarray:
    """Return recurrent weights in the order that `cell_rows` reads them.

    The order depends on the processor: do not save it.

    Args:
        weights: `[count · H, H]`, as `weight_hh_l0` of torch's layers, of one direction.
    """
    weights = _checked(weights, "weights", _FLOAT, (None, None))
    rows, width = weights.shape
    if width == 0 or rows not in (3 * width, 4 * width):
        raise ValueError(
            f"weights: expected [3 · H, H] or [4 · H, H] and H > 0, got {[rows, width]}"
        )
    count = rows // width
    packed = _empty(_library.mtl_cell_packed_size(count, width), _FLOAT)
    _run(_CELL_PACK, _address(weights), count, width, _address(packed))
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
    table = _checked(table, "table", _FLOAT, (None, None))
    rows, stride = table.shape
    width = _parts(stride, "table", directions * count)
    row = directions * width
    ids_at = lengths_at = start_at = start_stride = bias_at = 0
    if ids is not None:
        ids = _checked(ids, "ids", _INT, (None, None))
        sentences, steps = ids.shape
        ids_at = _address(ids)
    elif shape is not None:
        sentences, steps = shape
        if sentences < 0 or steps < 0 or sentences * steps != rows:
            raise ValueError(f"shape: expected B · T = {rows} rows of the table, got {shape}")
    else:
        raise ValueError("shape: expected (B, T) where ids are None")
    if lengths is not None:
        lengths = _checked(lengths, "lengths", _INT, (sentences,))
        lengths_at = _address(lengths)
    if start is not None:
        shared = start.ndim == 2
        sizes = (count - 2, row) if shared else (sentences, count - 2, row)
        start = _checked(start, "start", _FLOAT, sizes)
        start_at, start_stride = _address(start), 0 if shared else (count - 2) * row
    size = _library.mtl_cell_packed_size(count, width)
    packed = _checked(packed, "packed", _FLOAT, (directions, size))
    if (bias is None) == (count == 3):
        raise ValueError("bias: expected [directions, H] for 3 gates, None for 4")
    if bias is not None:
        bias = _checked(bias, "bias", _FLOAT, (directions, width))
        bias_at = _address(bias)
    h = _empty((sentences, steps, row), _FLOAT)
    _run(
        _CELL_ROWS,
        *(_address(table), rows, stride, ids_at, sentences, steps, lengths_at, start_at),
        *(start_stride, _address(packed), bias_at, width, count, reverse, directions),
        *(_address(h), 0 if cells is None else _address(cells)),
    )
    return h


def _products(
    x: np.ndarray, h0: np.ndarray, count: int, weights: tuple[Any, ...]
) -> tuple[np.ndarray, tuple[int, int], np.ndarray, np.ndarray, np.ndarray]:
    """Return x W + bias, (B, T), the first h, the packed recurrent weights and their bias."""
    w_ih, w_hh, b_ih, b_hh = weights
    x = _checked(x, "x", _FLOAT, (None, None, None))
    sentences, steps, inputs = x.shape
    h0 = _checked(h0, "h0", _FLOAT, (1, sentences, None))
    width = h0.shape[2]
    if not isinstance(w_ih, PackedLinear):
        w_ih = pack_linear(_checked(w_ih, "w_ih", _FLOAT, (count * width, inputs)))
    elif (w_ih.outputs, w_ih.inputs) != (count * width, inputs):
        raise ValueError(f"w_ih: expected the weights [{count * width}, {inputs}], packed")
    size = _library.mtl_cell_packed_size(count, width)
    if not (isinstance(w_hh, np.ndarray) and w_hh.shape == (size,)):
        w_hh = pack_cell(_checked(w_hh, "w_hh", _FLOAT, (count * width, width)))
    b_ih = _checked(b_ih, "b_ih", _FLOAT, (count * width,))
    b_hh = _checked(b_hh, "b_hh", _FLOAT, (count * width,))
    bias = b_ih.copy()
    inside = count * width if count == 4 else 2 * width
    bias[:inside] += b_hh[:inside]
    products = linear(x.reshape(sentences * steps, inputs), w_ih, bias)
    return products, (sentences, steps), h0, w_hh[np.newaxis], b_hh[inside:]


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
    products, shape, h0, packed, _ = _products(x, h0, 4, (w_ih, w_hh, b_ih, b_hh))
    c0 = _checked(c0, "c0", _FLOAT, h0.shape)
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
    products, shape, h0, packed, bias = _products(x, h0, 3, (w_ih, w_hh, b_ih, b_hh))
    start = np.ascontiguousarray(h0[0][:, np.newaxis])
    out = cell_rows(products, None, None, start, packed, bias[np.newaxis], 3, shape=shape)
    return out, out[np.newaxis, :, -1].copy() if shape[1] else h0.copy()


class PackedLinear:
    """The weights of a linear layer in the order that `linear` reads them."""

    __slots__ = ("address", "inputs", "outputs", "weights")

    def __init__(self, weights: np.ndarray, outputs: int, inputs: int) -> None:
        self.weights, self.outputs, self.inputs = weights, outputs, inputs
        self.address = _address(weights)


def pack_linear(weight: np.ndarray) -> PackedLinear:
    """Return the weights of a linear layer in the order that `linear` reads them.

    Args:
        weight: `[K, D]`, as `weight` of torch.nn.Linear.
    """
    weight = _checked(weight, "weight", _FLOAT, (None, None))
    outputs, inputs = weight.shape
    packed = _empty(_library.mtl_linear_packed_size(outputs, inputs), _FLOAT)
    _run(_LINEAR_PACK, _address(weight), outputs, inputs, _address(packed))
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
    x = _checked(x, "x", _FLOAT, (None, inputs))
    bias_at = 0
    if bias is not None:
        bias = _checked(bias, "bias", _FLOAT, (outputs,))
        bias_at = _address(bias)
    rows = x.shape[0]
    y = _empty((rows, outputs), _FLOAT)
    _run(_LINEAR, _address(x), rows, packed.address, bias_at, outputs, inputs, _address(y))
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
    """Return what a CRF function writes: an array of some dimensions of the emissions."""
    emissions = _checked(emissions, "emissions", _FLOAT, (None, None, None))
    sentences, steps, labels = emissions.shape
    if labels == 0:
        raise ValueError("emissions: expected at least one label")
    transitions = _checked(transitions, "transitions", _FLOAT, (labels, labels))
    start = _checked(start, "start", _FLOAT, (labels,))
    end = _checked(end, "end", _FLOAT, (labels,))
    lengths_at = 0
    if mask is not None:
        mask = _checked(mask, "mask", _BOOL, (sentences, steps))
        lengths = _empty(sentences, _INT)
        lengths_at = _address(lengths)
        _run(_LENGTHS, _address(mask), sentences, steps, lengths_at)
    found = _empty(emissions.shape[:dimensions], dtype)
    _run(
        function,
        *(_address(emissions), _address(transitions), _address(start), _address(end), lengths_at),
        *(sentences, steps, labels, _address(found)),
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

"""Operators of programs on numpy arrays, by the names of torch.

Each computes the operator of the same name in torch, with the same order of arguments. Numbers are
float32 unless a program says otherwise.
"""

from __future__ import annotations

import math
import operator as python
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mtl_runtime import kernels
from mtl_runtime.rounding import Rounded

Array = Any


MOST = 1 << 26
"""The most numbers of an array that an operator makes from sizes alone."""
LOOKUPS = {"aten.embedding.default", "aten.embedding_bag.padding_idx"}
"""The operators that read only some rows of their first argument, so that it may be `Rounded`."""
_SUM, _MEAN = 0, 1
"""Modes of `torch.nn.EmbeddingBag`."""
WORDS = {"none", "tanh", "constant", "floor", "trunc"}
"""The strings that operators other than einsum accept."""


def _size(count: Any) -> int:
    """Return a number of numbers; raise an error for more than `MOST`."""
    if count > MOST:
        raise ValueError(f"an array of {count:,} numbers is too large")
    return int(count)


def _sizes(shape: Sequence[int]) -> Sequence[int]:
    """Return a shape; raise an error if it has too many numbers."""
    _size(math.prod(shape))
    return shape


def result_size(operator: str, values: Sequence[Any]) -> int:
    """Return the size of the result of an operator on numbers; 0 for other operators."""
    if operator.split(".")[1] not in _BROADCAST:
        return 0
    return math.prod(
        np.broadcast_shapes(*(value.shape for value in values if hasattr(value, "shape")))
    )


def _axes(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def _float(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype.kind in "biu" else x


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    y = x @ weight.T
    return y if bias is None else y + bias


def _softmax(x: Array, dim: int, dtype: str | None = None) -> Array:
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def _log_softmax(x: Array, dim: int, dtype: str | None = None) -> Array:
    shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def _logsumexp(x: Array, dim: Any, keepdim: bool = False) -> Array:
    top = x.max(axis=_axes(dim), keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    total = np.log(np.exp(x - top).sum(axis=_axes(dim), keepdims=True)) + top
    return total if keepdim else total.squeeze(_axes(dim))


def _sigmoid(x: Array) -> Array:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1))


def _gelu(x: Array, approximate: str = "none") -> Array:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return (0.5 * x * (1 + np.tanh(inner))).astype(x.dtype)
    erf = np.vectorize(math.erf, otypes=[x.dtype])
    return (0.5 * x * (1 + erf(x / math.sqrt(2)))).astype(x.dtype)


def _layer_norm(
    x: Array,
    shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    cudnn: bool = False,
) -> Array:
    axes = tuple(range(-len(shape), 0))
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = (centred * centred).mean(axis=axes, keepdims=True)
    y = centred / np.sqrt(variance + np.float32(eps))
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _pad(x: Array, widths: Sequence[int], mode: str = "constant", value: Any = None) -> Array:
    if mode != "constant":
        raise ValueError(f"pad: unknown mode {mode}")
    before_after = [(0, 0)] * x.ndim
    cut = [slice(None)] * x.ndim
    for number in range(len(widths) // 2):
        first, last = widths[2 * number : 2 * number + 2]
        axis = x.ndim - 1 - number
        cut[axis] = slice(max(0, -first), x.shape[axis] - max(0, -last))
        before_after[axis] = (max(0, first), max(0, last))
    _size(math.prod(n + sum(own) for n, own in zip(x.shape, before_after, strict=True)))
    return np.pad(x[tuple(cut)], before_after, constant_values=value or 0)


def _unfold(x: Array, dim: int, size: int, step: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=dim)
    _size(windows.size)
    cut = [slice(None)] * windows.ndim
    cut[dim] = slice(None, None, step)
    return windows[tuple(cut)]


def _conv1d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Array:
    if (tuple(stride), tuple(dilation), groups) != ((1,), (1,), 1):
        raise ValueError("conv1d: unknown stride, dilation or groups")
    _size(x.size + 2 * padding[0] * len(x) * x.shape[1])
    x = np.pad(x, ((0, 0), (0, 0), (padding[0], padding[0])))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2], axis=2)  # [B, C, T, W]
    columns = windows.transpose(0, 2, 1, 3).reshape(x.shape[0], windows.shape[2], -1)
    y = (columns @ weight.reshape(len(weight), -1).T).transpose(0, 2, 1)
    return y if bias is None else y + bias[:, None]


def _slice(x: Array, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Array:
    cut = [slice(None)] * x.ndim
    cut[dim] = slice(start, end, step)
    return x[tuple(cut)]


def _split(x: Array, size: Any, dim: int = 0) -> list[Array]:
    total = x.shape[dim]
    sizes = size if isinstance(size, list) else [size] * -(-total // size)
    ends = np.cumsum(sizes)[:-1]
    return np.split(x, ends, axis=dim)


def _chunk(x: Array, count: int, dim: int = 0) -> list[Array]:
    return _split(x, -(-x.shape[dim] // count), dim)


def _topk(
    x: Array, k: int, dim: int = -1, largest: bool = True, in_order: bool = True
) -> tuple[Array, Array]:
    order = np.argsort(-x if largest else x, axis=dim, kind="stable")
    order = order.take(np.arange(_size(k)), axis=dim)
    return np.take_along_axis(x, order, axis=dim), order


def _sort(x: Array, dim: int = -1, descending: bool = False) -> tuple[Array, Array]:
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, axis=dim), order


def _max_dim(x: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    index = x.argmax(axis=dim)
    top = x.max(axis=dim, keepdims=keepdim)
    return top, np.expand_dims(index, dim) if keepdim else index


def _expand(x: Array, shape: Sequence[int], implicit: bool = False) -> Array:
    own = (1,) * (len(shape) - x.ndim) + x.shape
    return np.broadcast_to(
        x, _sizes([a if n == -1 else n for n, a in zip(shape, own, strict=True)])
    )


def _index(x: Array, indices: Sequence[Any]) -> Array:
    found = x[tuple(slice(None) if index is None else index for index in indices)]
    return found


def _clamp(x: Array, low: Any = None, high: Any = None, **named: Any) -> Array:
    low, high = named.get("min", low), named.get("max", high)
    x = x if low is None else np.maximum(x, x.dtype.type(low))
    return x if high is None else np.minimum(x, x.dtype.type(high))


def _mean(x: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    return x.mean(axis=_axes(dim), keepdims=keepdim)


def _sum(x: Array, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Array:
    return x.sum(axis=_axes(dim), keepdims=keepdim)


def _add(x: Any, y: Any, alpha: Any = 1) -> Any:
    return x + y if alpha == 1 else x + alpha * y


def _sub(x: Any, y: Any, alpha: Any = 1) -> Any:
    return x - y if alpha == 1 else x - alpha * y


def _div(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return x // y
    if isinstance(x, np.ndarray):
        x = _float(x)
    return x / (_float(y) if isinstance(y, np.ndarray) else y)


def _cast(x: Array, dtype: str | None = None, *others: Any, **named: Any) -> Array:
    return x if dtype is None else x.astype(dtype, copy=False)


def _arange(start: Any, end: Any = None, step: Any = 1, dtype: str | None = None) -> Array:
    first, last = (0, start) if end is None else (start, end)
    _size(abs((last - first) / step))
    return np.arange(first, last, step, dtype=dtype or np.int64)


def _einsum(equation: str, arrays: Sequence[Array], path: Any = None) -> Array:
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    others = 1  # numbers in the dimensions of an ellipsis
    for letters, array in zip(inputs.split(","), arrays, strict=True):
        first, _, last = letters.partition("...")
        sizes.update(zip(first, array.shape, strict=False))
        sizes.update(zip(reversed(last), reversed(array.shape), strict=False))
        others = max(others, math.prod(array.shape[len(first) : array.ndim - len(last)]))
    kept = output.replace(".", "") if arrow else sizes
    _size(others * math.prod(sizes[letter] for letter in kept))
    return np.einsum(equation, *arrays, optimize=len(arrays) > 2 or equation.count(",") == 1)


def _masked_fill(x: Array, mask: Array, value: Any) -> Array:
    return np.where(mask, x.dtype.type(value), x)


def _rows(table: Any, ids: Array) -> Array:
    return table.rows(ids) if isinstance(table, Rounded) else table[ids]


def _embedding(table: Any, ids: Array, *others: Any) -> Array:
    return _rows(table, ids)


def _embedding_bag(
    table: Any,
    ids: Array,
    starts: Array,
    by_frequency: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    weights: None = None,
    last: bool = False,
    padding: int = -1,
) -> tuple[Array]:
    if mode not in (_SUM, _MEAN) or weights is not None or last:
        raise ValueError("embedding_bag: unknown mode or weights")
    real = ids != padding
    counts = np.diff(np.append(0, real.cumsum())[np.append(starts, len(ids))])
    # Padding is left out first: next to a very long word, most ids are padding.
    rows = _rows(table, ids[real])
    sums = np.zeros((len(starts), rows.shape[1]), rows.dtype)
    filled = counts > 0
    if filled.any():
        firsts = (counts.cumsum() - counts)[filled]
        sums[filled] = np.add.reduceat(rows, firsts, axis=0)
    if mode == _SUM:
        return (sums,)
    return (sums / np.maximum(counts, 1)[:, None].astype(rows.dtype),)


def _pool(
    gates: Array,
    c0: Array | None,
    lengths: Array | None,
    keep: None,
    count: int,
    reverse: bool,
    directions: int,
    save: bool,
) -> tuple[Array, Array, Array]:
    h, last = kernels.pool(_own(gates), c0, lengths, count, reverse, directions)
    return h, last, last


def _pool_rows(
    table: Array,
    ids: Array,
    lengths: Array,
    start: Array | None,
    window: int,
    count: int,
    reverse: bool,
    directions: int,
) -> Array:
    return kernels.pool_rows(table, ids, lengths, start, window, count, reverse, directions)


def _cell_rows(
    table: Array,
    ids: Array,
    lengths: Array,
    start: Array | None,
    weights: Array,
    bias: Array | None,
    count: int,
    reverse: bool,
    directions: int,
) -> Array:
    return kernels.cell_rows(table, ids, lengths, start, weights, bias, count, reverse, directions)


def _crf(run: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *arrays: run(*map(_own, arrays))


def _own(x: Array) -> Array:
    return np.ascontiguousarray(x)


def _zeros(shape: Sequence[int], dtype: str | None = None, **others: Any) -> Array:
    return np.zeros(_sizes(shape), dtype or np.float32)


def _full(shape: Sequence[int], value: Any, dtype: str | None = None, **others: Any) -> Array:
    kind = np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else None
    return np.full(_sizes(shape), value, dtype or kind or np.float32)


def _cat(arrays: Sequence[Array], dim: int = 0) -> Array:
    _size(sum([array.size for array in arrays]))
    return np.concatenate(arrays, axis=dim)


def _stack(arrays: Sequence[Array], dim: int = 0) -> Array:
    _size(sum([array.size for array in arrays]))
    return np.stack(arrays, axis=dim)


def _repeat(x: Array, counts: Sequence[int]) -> Array:
    _size(x.size * math.prod(counts))
    return np.tile(x, counts)


def _pow(x: Any, y: Any) -> Any:
    # Powers of Python's integers have any number of digits.
    return (x if hasattr(x, "shape") or hasattr(y, "shape") else float(x)) ** y


def _product(x: int, y: int) -> int:
    if abs(x * y) >> 62:
        raise ValueError(f"a size of {x} times {y} is too large")
    return x * y


def _same(x: Array, *others: Any, **named: Any) -> Array:
    return x


def _reshape(x: Array, shape: Sequence[int]) -> Array:
    return x.reshape(shape)


def _flatten(x: Array, start: int = 0, end: int = -1) -> Array:
    start, end = start % x.ndim, end % x.ndim
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])


def _amax(x: Array, dim: Any = (), keepdim: bool = False) -> Array:
    return x.max(axis=_axes(dim) or None, keepdims=keepdim)


def _glu(x: Array, dim: int = -1) -> Array:
    a, b = np.split(x, 2, axis=dim)
    return a * _sigmoid(b)


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "mul": np.multiply,
    "lt": python.lt,
    "le": python.le,
    "gt": python.gt,
    "ge": python.ge,
    "eq": python.eq,
    "ne": python.ne,
    "pow": _pow,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
}
_BROADCAST = {*_BINARY, "add", "sub", "div", "maximum", "minimum", "where", "lerp"}
_UNARY: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "relu": lambda x: np.maximum(x, 0),
    "abs": np.abs,
    "neg": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "bitwise_not": np.invert,
    "logical_not": np.logical_not,
    "alias": _same,
    "detach": _same,
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
}

OPERATORS: dict[str, Callable[..., Any]] = {
    **{
        f"aten.{name}.{kind}": run for name, run in _BINARY.items() for kind in ("Tensor", "Scalar")
    },
    "aten.pow.Tensor_Scalar": _pow,
    **{f"aten.{name}.default": run for name, run in {**_BINARY, **_UNARY}.items()},
    "aten.add.Tensor": _add,
    "aten.add.Scalar": _add,
    "aten.sub.Tensor": _sub,
    "aten.sub.Scalar": _sub,
    "aten.rsub.Scalar": lambda x, y, alpha=1: y - alpha * x,
    "aten.div.Tensor": _div,
    "aten.div.Scalar": _div,
    "aten.div.Tensor_mode": _div,
    "aten.maximum.default": np.maximum,
    "aten.minimum.default": np.minimum,
    "aten.clamp.default": _clamp,
    "aten.clamp_min.default": _clamp,
    "aten.softplus.default": lambda x, *_: np.logaddexp(x, np.float32(0)),
    "aten.gelu.default": _gelu,
    "aten.glu.default": _glu,
    "aten.softmax.int": _softmax,
    "aten._softmax.default": _softmax,
    "aten.log_softmax.int": _log_softmax,
    "aten._log_softmax.default": _log_softmax,
    "aten.logsumexp.default": _logsumexp,
    "aten.layer_norm.default": _layer_norm,
    "aten.linear.default": _linear,
    "aten.matmul.default": np.matmul,
    "aten.mm.default": np.matmul,
    "aten.bmm.default": np.matmul,
    "aten.addmm.default": lambda bias, x, y: bias + x @ y,
    "aten.lerp.Tensor": lambda x, y, weight: x + weight * (y - x),
    "aten.einsum.default": _einsum,
    "aten.conv1d.default": _conv1d,
    "aten.embedding.default": _embedding,
    "aten.embedding_bag.padding_idx": _embedding_bag,
    "aten.where.self": np.where,
    "aten.masked_fill.Scalar": _masked_fill,
    "aten.masked_fill.Tensor": _masked_fill,
    "aten.amax.default": _amax,
    "aten.max.dim": _max_dim,
    "aten.argmax.default": lambda x, dim=None, keepdim=False: x.argmax(axis=dim, keepdims=keepdim),
    "aten.any.dim": lambda x, dim, keepdim=False: x.any(axis=dim, keepdims=keepdim),
    "aten.all.dim": lambda x, dim, keepdim=False: x.all(axis=dim, keepdims=keepdim),
    "aten.mean.dim": _mean,
    "aten.sum.dim_IntList": _sum,
    "aten.sum.default": _sum,
    "aten.cumsum.default": lambda x, dim, dtype=None: x.cumsum(axis=dim),
    "aten.sort.default": _sort,
    "aten.topk.default": _topk,
    "aten.gather.default": lambda x, dim, index: np.take_along_axis(x, index, axis=dim),
    "aten.index.Tensor": _index,
    "aten.index_select.default": lambda x, dim, index: x.take(index, axis=dim),
    "aten.select.int": lambda x, dim, index: x.take(index, axis=dim),
    "aten.slice.Tensor": _slice,
    "aten.narrow.default": lambda x, dim, start, length: _slice(x, dim, start, start + length),
    "aten.unbind.int": lambda x, dim=0: list(np.moveaxis(x, dim, 0)),
    "aten.split.Tensor": _split,
    "aten.split_with_sizes.default": _split,
    "aten.chunk.default": _chunk,
    "aten.cat.default": _cat,
    "aten.stack.default": _stack,
    "aten.flip.default": lambda x, dims: np.flip(x, dims),
    "aten.unsqueeze.default": np.expand_dims,
    "aten.squeeze.dim": lambda x, dim: x.squeeze(dim) if x.shape[dim] == 1 else x,
    "aten.transpose.int": np.swapaxes,
    "aten.t.default": np.transpose,
    "aten.mT.default": lambda x: np.swapaxes(x, -1, -2),
    "aten.permute.default": np.transpose,
    "aten.expand.default": _expand,
    "aten.repeat.default": _repeat,
    "aten.view.default": _reshape,
    "aten._unsafe_view.default": _reshape,
    "aten.reshape.default": _reshape,
    "aten.flatten.using_ints": _flatten,
    "aten.unfold.default": _unfold,
    "aten.pad.default": _pad,
    "aten.constant_pad_nd.default": lambda x, widths, value=0: _pad(x, widths, "constant", value),
    "aten.clone.default": _same,
    "aten.contiguous.default": _same,
    "aten.dropout.default": _same,
    "aten.lift_fresh_copy.default": _same,
    "aten.to.dtype": _cast,
    "aten._to_copy.default": _cast,
    "aten.arange.default": _arange,
    "aten.arange.start": _arange,
    "aten.arange.start_step": _arange,
    "aten.zeros.default": _zeros,
    "aten.ones.default": lambda shape, **named: _full(shape, 1.0, **named),
    "aten.full.default": _full,
    "aten.new_zeros.default": lambda x, shape, dtype=None: _zeros(shape, dtype or x.dtype),
    "aten.new_ones.default": lambda x, shape, dtype=None: _full(shape, 1, dtype or x.dtype),
    "aten.new_full.default": lambda x, shape, v, dtype=None: _full(shape, v, dtype or x.dtype),
    "aten.sym_size.int": lambda x, dim: x.shape[dim],
    "aten.scalar_tensor.default": lambda value, dtype="float32": np.asarray(value, dtype),
    "python.getitem": python.getitem,
    "python.add": python.add,
    "python.sub": python.sub,
    "python.mul": _product,
    "python.neg": python.neg,
    "python.floordiv": python.floordiv,
    "python.sym_max": max,
    "python.sym_min": min,
    "mtl.pool.default": _pool,
    "mtl.pool_rows.default": _pool_rows,
    "mtl.cell_rows.default": _cell_rows,
    "mtl.pack_cell.default": lambda weights: kernels.pack_cell(_own(weights)),
    "mtl.lstm.default": lambda *arrays: kernels.lstm(*map(_own, arrays)),
    "mtl.gru.default": lambda *arrays: kernels.gru(*map(_own, arrays)),
    "mtl.crf_marginals.default": _crf(kernels.marginals),
    "mtl.crf_viterbi.default": _crf(lambda *arrays: (kernels.viterbi(*arrays), None)),
}
"""Name of an operator to its function."""


def folded(
    name: str,
    run: Callable[..., Any],
    values: list[Any],
    known: Mapping[str, Any],
    reference: type,
) -> tuple[Callable[..., Any], list[Any]]:
    """Return a faster operator and its arguments, where some arguments are constants.

    Products with a constant matrix go through the compiled library, which keeps the matrix in the
    order that it reads.

    Args:
        name: The name of the operator.
        run: Its function.
        values: Its arguments.
        known: Name to constant.
        reference: The type of arguments that are names of values.
    """

    def constant(value: Any) -> bool:
        return isinstance(value, reference) and value in known

    if name == "aten.linear.default" and all(
        value is None or constant(value) for value in values[1:]
    ):
        weight = known[values[1]]
        bias = known[values[2]] if len(values) > 2 and values[2] is not None else None
    elif name in ("aten.matmul.default", "aten.mm.default") and constant(values[1]):
        weight, bias = known[values[1]].T, None
    else:
        return run, values
    if weight.ndim != 2 or weight.dtype != np.float32:
        return run, values
    packed = kernels.pack_linear(_own(weight))
    rows = len(weight)

    def linear(x: Array) -> Array:
        y = kernels.linear(_own(x.reshape(-1, x.shape[-1])), packed, bias)
        return y.reshape(*x.shape[:-1], rows)

    return linear, values[:1]

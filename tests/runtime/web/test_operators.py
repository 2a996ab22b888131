"""Every operator in JavaScript computes what the operator of the same name computes in Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from mtl_runtime.operators import OPERATORS

from tests.runtime.built import kernels
from tests.runtime.web.node import Node, close

kernels()
RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def below(limit: int, *shape: int) -> Any:
    return RANDOM.integers(limit, size=shape)


def truths(*shape: int) -> Any:
    return RANDOM.random(shape) < 0.5


X, ROW, COLUMN, CUBE = floats(3, 4), floats(4), floats(3, 1), floats(2, 3, 4)
IDS, TRUE = below(3, 2, 5), truths(3, 4)
STEPS = (floats(4, 4), floats(4), floats(4))
MASK = np.array([[True, True, True], [True, True, False]])
LENGTHS = MASK.sum(1)
LAYER = (floats(2, 3, 4), floats(1, 2, 5), floats(1, 2, 5))
LSTM, GRU = (
    tuple(floats(*shape) for shape in ((5 * n, 4), (5 * n, 5), (5 * n,), (5 * n,))) for n in (4, 3)
)
FLOOR, FLOAT = {"rounding_mode": "floor"}, {"dtype": np.dtype("float32")}
COMPARED = ("lt", "le", "gt", "ge", "eq", "ne")
CASES: dict[str, list[tuple[Any, ...]]] = {
    **{f"aten.{n}.Tensor": [(X, ROW), (IDS, IDS[:1]), (COLUMN, ROW)] for n in COMPARED},
    **{f"aten.{n}.Scalar": [(X, 0), (IDS, 1)] for n in COMPARED},
    **{
        f"aten.{n}.Tensor": [(TRUE, TRUE[:1]), (IDS, IDS)]
        for n in ("bitwise_and", "bitwise_or", "bitwise_xor")
    },
    **{f"aten.logical_{n}.default": [(TRUE, TRUE[:1]), (X, TRUE)] for n in ("and", "or")},
    **{
        f"aten.{n}.default": [(X,), (CUBE,)]
        for n in (
            *("tanh", "sigmoid", "relu", "abs", "neg", "exp", "sin", "cos", "softplus", "alias"),
            *("detach", "clone", "contiguous", "lift_fresh_copy", "zeros_like", "ones_like"),
        )
    },
    **{f"aten.{n}.default": [(np.abs(X) + 0.1,)] for n in ("log", "sqrt", "rsqrt")},
    "aten.bitwise_not.default": [(TRUE,), (IDS,)],
    "aten.logical_not.default": [(TRUE,), (IDS,)],
    "aten.dropout.default": [(X, 0.5, False)],
    "aten.mul.Tensor": [(X, ROW), (X, COLUMN), (CUBE, X), (IDS, IDS), (X, TRUE)],
    "aten.mul.Scalar": [(X, 2), (X, 0.5), (IDS, 3)],
    "aten.pow.Scalar": [(2.0, np.abs(X))],
    "aten.pow.Tensor_Scalar": [(X, 2), (np.abs(X), 0.5)],
    "aten.add.Tensor": [(X, ROW), (CUBE, COLUMN), (X, ROW, {"alpha": 2}), (TRUE, IDS[:1, :4])],
    "aten.add.Scalar": [(X, 1), (IDS, 1.5), (TRUE, 1)],
    "aten.sub.Tensor": [(X, ROW), (X, ROW, {"alpha": 2})],
    "aten.sub.Scalar": [(X, 1)],
    "aten.rsub.Scalar": [(X, 1), (X, 1, 3)],
    "aten.div.Tensor": [(X, ROW), (IDS, IDS + 1)],
    "aten.div.Scalar": [(X, 3), (IDS, 2)],
    "aten.div.Tensor_mode": [(X, ROW, FLOOR), (IDS, 2, FLOOR)],
    "aten.maximum.default": [(X, ROW)],
    "aten.minimum.default": [(X, ROW)],
    "aten.clamp.default": [(X, -0.5, 0.5), (X, None, 0.1), (IDS, 1), (X, {"min": 0.0})],
    "aten.clamp_min.default": [(X, 0.1)],
    "aten.gelu.default": [(X,), (X, {"approximate": "tanh"})],
    "aten.glu.default": [(X,), (X, 1)],
    "aten.softmax.int": [(X, -1), (CUBE, 1)],
    "aten.log_softmax.int": [(X, -1), (CUBE, 0)],
    "aten.logsumexp.default": [(X, [-1]), (CUBE, [0, 2]), (X, [1], True)],
    "aten.layer_norm.default": [(X, [4]), (X, [4], ROW, ROW, 0.01), (CUBE, [3, 4], X, X)],
    "aten.linear.default": [(X, floats(5, 4), floats(5)), (CUBE, floats(2, 4))],
    "aten.matmul.default": [
        *((X, floats(4, 2)), (CUBE, floats(2, 4, 5)), (X, ROW)),
        *((ROW, floats(4, 3)), (CUBE, floats(4, 3))),
    ],
    "aten.bmm.default": [(CUBE, floats(2, 4, 5))],
    "aten.addmm.default": [(floats(2), X, floats(4, 2))],
    "aten.lerp.Tensor": [(X, ROW, COLUMN)],
    "aten.einsum.default": [
        ("btd,kd->btk", [CUBE, floats(5, 4)]),
        ("...d,d->...", [CUBE, ROW]),
        ("ab,bc,c->a", [X, floats(4, 2), floats(2)]),
        ("ab->ba", [X]),
    ],
    "aten.conv1d.default": [
        (CUBE, floats(5, 3, 2), floats(5)),
        (CUBE, floats(5, 3, 3), None, [1], [1]),
    ],
    "aten.embedding.default": [(X, IDS), (X, IDS, 0)],
    "aten.embedding_bag.padding_idx": [
        (X, np.array([1, 2, 0, 2, 1]), np.array([0, 2, 2]), False, 1, False, None, False, 0),
        (X, np.array([1, 2, 0, 2, 1]), np.array([0, 2, 2]), False, 0, False, None, False, 0),
    ],
    "aten.where.self": [(TRUE, X, ROW), (TRUE, X, COLUMN)],
    "aten.masked_fill.Scalar": [(X, TRUE, 0), (CUBE, TRUE, float("-inf"))],
    "aten.amax.default": [(X,), (X, [1]), (CUBE, [0, 2], True)],
    "aten.max.dim": [(X, 1), (CUBE, 1, True)],
    "aten.argmax.default": [(X, 1), (CUBE, -1, True), (X,)],
    "aten.any.dim": [(TRUE, 1), (TRUE, 0, True)],
    "aten.all.dim": [(TRUE, 1), (TRUE, 0, True)],
    "aten.mean.dim": [(X, [1]), (CUBE, [0, 1], True)],
    "aten.sum.dim_IntList": [(X, [1]), (TRUE, [0]), (CUBE, [0, 2], True)],
    "aten.sum.default": [(X,)],
    "aten.cumsum.default": [(X, 1), (TRUE, 0), (CUBE, 1)],
    "aten.sort.default": [(X,), (CUBE, 1, True), (IDS, 1)],
    "aten.topk.default": [(X, 2), (CUBE, 2, 1, False)],
    "aten.gather.default": [(X, 1, below(4, 3, 2)), (X, 0, below(3, 2, 4))],
    "aten.index.Tensor": [
        *((X, [IDS]), (X, [None, IDS]), (X, [IDS, IDS])),
        (CUBE, [below(2, 6), below(3, 6)]),
    ],
    "aten.index_select.default": [(X, 1, np.array([3, 0]))],
    "aten.select.int": [(X, 1, 2), (CUBE, 0, -1)],
    "aten.slice.Tensor": [(X, 1, 1, 3), (X, 0, -2), (X, 1, 0, 9, 2), (X, 1, 3, 1)],
    "aten.narrow.default": [(X, 1, 1, 2)],
    "aten.unbind.int": [(X,), (CUBE, 1)],
    "aten.split.Tensor": [(X, 3, 1)],
    "aten.split_with_sizes.default": [(X, [1, 3], 1)],
    "aten.chunk.default": [(X, 2, 1), (X, 2)],
    "aten.cat.default": [([X, X],), ([X, COLUMN], 1), ([X, TRUE], 1)],
    "aten.stack.default": [([X, X],), ([X, X], -1)],
    "aten.flip.default": [(CUBE, [1]), (CUBE, [0, -1])],
    "aten.unsqueeze.default": [(X, 0), (X, -1), (X, 1)],
    "aten.squeeze.dim": [(COLUMN, 1), (X, 0)],
    "aten.transpose.int": [(CUBE, 0, 2), (CUBE, -1, 1)],
    "aten.t.default": [(X,)],
    "aten.mT.default": [(CUBE,)],
    "aten.permute.default": [(CUBE, [2, 0, 1])],
    "aten.expand.default": [(COLUMN, [-1, 5]), (X, [2, 3, 4])],
    "aten.repeat.default": [(X, [2, 1]), (ROW, [2, 3]), (X, [2, 1, 2])],
    "aten.view.default": [(CUBE, [6, -1]), (CUBE, [24])],
    "aten.flatten.using_ints": [(CUBE,), (CUBE, 1), (CUBE, 0, 1)],
    "aten.unfold.default": [(X, 1, 2, 1), (CUBE, 1, 2, 1), (X, 1, 2, 2)],
    "aten.pad.default": [(X, [1, 2]), (CUBE, [0, 0, 1, 0]), (X, [-1, 1], "constant", 2.0)],
    "aten.constant_pad_nd.default": [(X, [0, 1], 3.0)],
    "aten.to.dtype": [(X * 3, np.dtype("int64")), (X, np.dtype("bool")), (TRUE, FLOAT["dtype"])],
    "aten._to_copy.default": [(X, {"dtype": np.dtype("float64")})],
    "aten.arange.default": [(5,), (5, FLOAT)],
    "aten.arange.start": [(2, 7)],
    "aten.arange.start_step": [(2, 9, 3)],
    "aten.zeros.default": [([2, 3],)],
    "aten.ones.default": [([2, 3],)],
    "aten.full.default": [([2], 7), ([2], True), ([2], 0.5), ([2], 1, FLOAT)],
    "aten.new_zeros.default": [(X, [2])],
    "aten.new_ones.default": [(X, [2])],
    "aten.new_full.default": [(X, [2], 5)],
    "aten.sym_size.int": [(CUBE, 1)],
    "aten.scalar_tensor.default": [(2.5,)],
    "python.getitem": [([3, 4, 5], 1)],
    "python.add": [(2, 3)],
    "python.sub": [(2, 3)],
    "python.mul": [(2, 3)],
    "python.neg": [(2,)],
    "python.floordiv": [(7, 2), (-7, 2)],
    "python.sym_max": [(2, 3)],
    "python.sym_min": [(2, 3)],
    "mtl.pool.default": [
        (floats(2, 3, 24), None, LENGTHS, None, 3, False, 2, False),
        (floats(2, 3, 12), floats(2, 4), None, None, 3, True, 1, False),
    ],
    "mtl.pool_rows.default": [
        (floats(6, 24), below(6, 2, 3), LENGTHS, None, 1, 3, False, 2),
        (floats(6, 16), below(6, 2, 3), LENGTHS, floats(4), 2, 2, True, 1),
    ],
    "mtl.lstm.default": [(*LAYER, *LSTM)],
    "mtl.gru.default": [(*LAYER[:2], *GRU)],
    "mtl.crf_marginals.default": [(CUBE, *STEPS, MASK)],
    "mtl.crf_viterbi.default": [(CUBE, *STEPS, MASK)],
}  # fmt: skip
"""Name of an operator to arguments; a dictionary at the end has the arguments with names."""


def cases() -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    for name, rows in CASES.items():
        for row in rows:
            has_names = isinstance(row[-1], dict)
            yield name, list(row[:-1] if has_names else row), row[-1] if has_names else {}


def sent(value: Any) -> Any:
    """Return a value as JSON types; an array as its numbers, shape and type."""
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, float) and not np.isfinite(value):
        return {"float": str(value).replace("inf", "Infinity")}
    if isinstance(value, np.ndarray | np.generic):
        numbers = [
            n if np.isfinite(n) else str(n).replace("inf", "Infinity")
            for n in value.ravel().tolist()
        ]
        return {"numbers": numbers, "shape": list(value.shape), "dtype": str(value.dtype)}
    return [sent(item) for item in value] if isinstance(value, list | tuple) else value


def test_results_are_those_of_python(node: Node) -> None:
    asked = [
        {"name": n, "values": sent(values), "named": sent_names(named)}
        for n, values, named in cases()
    ]
    for (name, values, named), found in zip(cases(), node.ask("run", cases=asked), strict=True):
        expected = sent(OPERATORS[name](*values, **named))
        if name == "mtl.crf_viterbi.default":
            expected, found = expected[0], found[0]
        assert close(found, expected), (name, values, found, expected)


def sent_names(named: dict[str, Any]) -> dict[str, Any]:
    return {name: sent(value) for name, value in named.items()}


def test_nearly_every_operator_is_compared() -> None:
    """All but cells, whose weights have an order that depends on the processor.

    Tests of whole models compare them.
    """
    functions = {id(OPERATORS[name]) for name in CASES}
    missing = {name for name, run in OPERATORS.items() if id(run) not in functions}
    assert missing == {"mtl.cell_rows.default", "mtl.pack_cell.default"}


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("aten.index.Tensor", [X, [TRUE]], "expected whole numbers, got bool"),
        ("aten.index.Tensor", [CUBE, [IDS, None, IDS]], "indices of neighbouring dimensions"),
        ("aten.pad.default", [X, [1, 1], "reflect"], "pad: unknown mode reflect"),
        ("aten.conv1d.default", [CUBE, floats(5, 3, 2), None, [2]], "unknown stride"),
        ("aten.embedding.default", [X, IDS + 9], "is out of bounds for size 3"),
        ("aten.matmul.default", [X, X], r"the shapes \[3,4\] and \[3,4\] do not fit"),
        ("aten.add.Tensor", [X, floats(3)], "do not fit"),
        ("aten.zeros.default", [[10**6, 10**6]], "is too large"),
    ],
)
def test_other_arguments_are_errors(name: str, values: list[Any], message: str, node: Node) -> None:
    with pytest.raises(Exception, match=message):
        node.ask("run", cases=[{"name": name, "values": sent(values), "named": {}}])

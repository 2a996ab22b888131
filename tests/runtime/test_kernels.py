"""The compiled functions of mtl-runtime, against the operators and layers of torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import mtl.ops.crf
import mtl.ops.recurrent
import mtl.ops.rows  # noqa: F401 - the operators
from tests.runtime.built import LIBRARY, ROOT, RUNTIME, kernels

K = kernels()
WORDS = 7
WIDTHS = st.sampled_from([1, 3, 8, 16, 21, 70])
SHAPES = st.tuples(st.integers(0, 4), st.integers(0, 6), WIDTHS)
SEEDS = st.integers(0, 999)


def floats(*shape: int) -> np.ndarray:
    return torch.randn(*shape).numpy()


def batch(sentences: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, lengths and the mask of a batch."""
    lengths = torch.randint(0, steps + 1, (sentences,)).numpy()
    mask = np.arange(steps) < lengths[:, np.newaxis]
    return torch.randint(0, WORDS, (sentences, steps)).numpy(), lengths, mask


def tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)


def same(found: np.ndarray, expected: Tensor, tolerance: float = 2e-6) -> bool:
    assert found.shape == tuple(expected.shape)
    return np.allclose(found, expected.detach().numpy(), rtol=tolerance, atol=tolerance)


@given(
    shape=SHAPES,
    seed=SEEDS,
    window=st.integers(1, 3),
    count=st.integers(2, 4),
    reverse=st.booleans(),
    directions=st.integers(1, 2),
    start=st.booleans(),
)
def test_pooling_over_rows_equals_the_operator(
    shape: tuple[int, int, int],
    seed: int,
    window: int,
    count: int,
    reverse: bool,
    directions: int,
    start: bool,
) -> None:
    torch.manual_seed(seed)
    sentences, steps, width = shape
    ids, lengths, _ = batch(sentences, steps)
    table = floats(WORDS, window * directions * count * width)
    first = floats(1, directions * width) if start else None
    found = K.pool_rows(table, ids, lengths, first, window, count, reverse, directions)
    expected = torch.ops.mtl.pool_rows(
        *(tensor(x) for x in (table, ids, lengths, first)), window, count, reverse, directions
    )
    assert same(found, expected)


@given(
    shape=SHAPES,
    seed=SEEDS,
    count=st.integers(2, 4),
    reverse=st.booleans(),
    directions=st.integers(1, 2),
    given_=st.tuples(st.booleans(), st.booleans()),
)
def test_pooling_equals_the_operator(
    shape: tuple[int, int, int],
    seed: int,
    count: int,
    reverse: bool,
    directions: int,
    given_: tuple[bool, bool],
) -> None:
    torch.manual_seed(seed)
    sentences, steps, width = shape
    gates = floats(sentences, steps, directions * count * width)
    c0 = floats(sentences, directions * width) if given_[0] else None
    lengths = batch(sentences, steps)[1] if given_[1] else None
    h, last = K.pool(gates, c0, lengths, count, reverse, directions)
    expected, expected_last, _ = torch.ops.mtl.pool(
        tensor(gates), tensor(c0), tensor(lengths), None, count, reverse, directions, False
    )
    assert same(h, expected)
    assert same(last, expected_last)


@given(
    shape=SHAPES,
    seed=SEEDS,
    count=st.integers(3, 4),
    reverse=st.booleans(),
    directions=st.integers(1, 2),
    start=st.booleans(),
    dense=st.booleans(),
)
def test_cells_over_rows_equal_the_operator(
    shape: tuple[int, int, int],
    seed: int,
    count: int,
    reverse: bool,
    directions: int,
    start: bool,
    dense: bool,
) -> None:
    torch.manual_seed(seed)
    sentences, steps, width = shape
    ids, lengths, _ = batch(sentences, steps)
    if dense:
        ids = np.arange(sentences * steps).reshape(sentences, steps)
    table = floats(sentences * steps if dense else WORDS, directions * count * width)
    first = floats(count - 2, directions * width) if start else None
    weights = [floats(count * width, width) for _ in range(directions)]
    bias = floats(directions, width) if count == 3 else None
    found = K.cell_rows(
        table,
        None if dense else ids,
        lengths,
        first,
        np.stack([K.pack_cell(matrix) for matrix in weights]),
        bias,
        count,
        reverse,
        directions,
        (sentences, steps),
    )
    packed = torch.stack([torch.ops.mtl.pack_cell(tensor(matrix)) for matrix in weights])
    rows = (tensor(x) for x in (table, ids, lengths, first))
    expected = torch.ops.mtl.cell_rows(*rows, packed, tensor(bias), count, reverse, directions)
    assert same(found, expected, 1e-5)


@pytest.mark.parametrize("packed", [False, True])
@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 6), WIDTHS), seed=SEEDS)
def test_lstm_and_gru_equal_the_layers_of_torch(
    packed: bool, shape: tuple[int, int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    sentences, steps, width = shape
    x, h0, c0 = (
        floats(sentences, steps, 5),
        floats(1, sentences, width),
        floats(1, sentences, width),
    )
    for layer, states in ((nn.LSTM, (h0, c0)), (nn.GRU, (h0,))):
        weights = [p.detach().numpy() for p in layer(5, width, batch_first=True).parameters()]
        run = K.lstm if layer is nn.LSTM else K.gru
        operator = torch.ops.mtl.lstm if layer is nn.LSTM else torch.ops.mtl.gru
        expected = operator(*(torch.from_numpy(one) for one in (x, *states, *weights)))
        if packed:
            weights[:2] = K.pack_linear(weights[0]), K.pack_cell(weights[1])
        for one, other in zip(run(x, *states, *weights), expected, strict=True):
            assert same(one, other, 1e-5)


@given(
    rows=st.integers(0, 20),
    outputs=st.integers(0, 150),
    inputs=st.sampled_from([0, 1, 7, 128, 129, 300]),
    bias=st.booleans(),
    seed=SEEDS,
)
def test_a_linear_layer_equals_that_of_torch(
    rows: int, outputs: int, inputs: int, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    x, weight = floats(rows, inputs), floats(outputs, inputs)
    added = floats(outputs) if bias else None
    packed = K.pack_linear(weight)
    found = K.linear(x, packed, added)
    expected = torch.from_numpy(x).double() @ torch.from_numpy(weight).double().T
    assert same(found, expected if added is None else expected + torch.from_numpy(added), 1e-4)
    alone = [K.linear(row[np.newaxis], packed, added)[0] for row in x]
    assert all(np.array_equal(one, other) for one, other in zip(alone, found, strict=True))


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(0, 7), st.sampled_from([1, 3, 16, 40])),
    seed=SEEDS,
    scale=st.sampled_from([1.0, 300.0]),
    forbidden=st.booleans(),
)
def test_the_crf_equals_the_operators(
    shape: tuple[int, int, int], seed: int, scale: float, forbidden: bool
) -> None:
    torch.manual_seed(seed)
    sentences, steps, labels = shape
    mask = batch(sentences, steps)[2]
    emissions, transitions = scale * floats(sentences, steps, labels), floats(labels, labels)
    if forbidden:
        transitions[labels - 1, : labels - 1] = -np.inf
    scores = emissions, transitions, floats(labels), floats(labels)
    tensors = [torch.from_numpy(x) for x in (*scores, mask)]
    assert np.array_equal(K.viterbi(*scores, mask), torch.ops.mtl.crf_viterbi(*tensors)[0])
    assert same(K.marginals(*scores, mask), torch.ops.mtl.crf_marginals(*tensors), 1e-5)
    partition = torch.ops.mtl.crf_forward(*tensors, None, False)[0]
    assert same(K.log_partition(*scores, mask), partition, 1e-5)


def test_arrays_may_be_views_and_read_only() -> None:
    x, weight = floats(20, 6), floats(8, 4)
    view = x[::2, 1:5]
    expected = view @ weight.T
    packed = K.pack_linear(np.asfortranarray(weight))
    assert np.allclose(K.linear(view, packed), expected, atol=1e-5)
    fixed = view.copy()
    fixed.flags.writeable = False
    assert np.allclose(K.linear(fixed, packed), expected, atol=1e-5)


TABLE, IDS, LENGTHS = np.zeros((4, 6), np.float32), np.zeros((2, 3), np.int64), np.array([3, 1])
SCORES = np.zeros((3, 3), np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32)
EMISSIONS, MASK = np.zeros((1, 2, 3), np.float32), np.array([[False, True]])
CELL = np.zeros((4, 8), np.float32)


@pytest.mark.parametrize(
    ("name", "function", "arguments"),
    [
        ("table", "pool_rows", (TABLE.astype(float), IDS, LENGTHS)),
        ("table", "pool_rows", ([[0.0]], IDS, LENGTHS)),
        ("table", "pool_rows", (TABLE[:, :5], IDS, LENGTHS)),
        ("ids", "pool_rows", (TABLE, IDS + 4, LENGTHS)),
        ("ids", "pool_rows", (TABLE, IDS - 1, LENGTHS)),
        ("ids", "pool_rows", (TABLE, IDS.astype(np.int32), LENGTHS)),
        ("lengths", "pool_rows", (TABLE, IDS, LENGTHS + 1)),
        ("lengths", "pool_rows", (TABLE, IDS, LENGTHS - 2)),
        ("lengths", "pool_rows", (TABLE, IDS, LENGTHS[:1])),
        ("start", "pool_rows", (TABLE, IDS, LENGTHS, np.zeros(3, np.float32))),
        ("window", "pool_rows", (TABLE, IDS, LENGTHS, None, 0)),
        ("count", "pool_rows", (TABLE, IDS, LENGTHS, None, 1, 5)),
        ("directions", "pool_rows", (TABLE, IDS, LENGTHS, None, 1, 3, False, 3)),
        ("gates", "pool", (TABLE,)),
        ("c0", "pool", (EMISSIONS, TABLE)),
        ("weights", "pack_cell", (TABLE,)),
        ("shape", "cell_rows", (CELL, None, None, None, np.zeros((1, 1), np.float32))),
        ("packed", "cell_rows", (CELL, IDS, None, None, np.zeros((1, 1), np.float32))),
        ("x", "linear", (TABLE, K.pack_linear(CELL))),
        ("packed", "linear", (TABLE, CELL)),
        ("bias", "linear", (CELL, K.pack_linear(CELL), TABLE[0])),
        ("emissions", "viterbi", (EMISSIONS[:, :, :0], *SCORES)),
        ("transitions", "viterbi", (EMISSIONS, SCORES[0][:2], *SCORES[1:])),
        ("end", "marginals", (EMISSIONS, *SCORES[:2], SCORES[0])),
        ("mask", "log_partition", (EMISSIONS, *SCORES, MASK)),
        ("mask", "viterbi", (EMISSIONS, *SCORES, MASK.astype(np.uint8))),
    ],
)
def test_a_wrong_argument_raises_an_error_that_names_it(
    name: str, function: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        getattr(K, function)(*arguments)


@pytest.mark.parametrize("name", ["base", "avx2"])
def test_the_loops_of_every_instruction_set_agree(name: str, tmp_path: Path) -> None:
    program = (
        "import sys, numpy as np; from mtl_runtime import kernels as K\n"
        "r = np.random.default_rng(0); f = lambda *s: r.standard_normal(s, dtype=np.float32)\n"
        "np.savez(sys.argv[1], K.linear(f(11, 200), K.pack_linear(f(67, 200)), f(67)),\n"
        "  *K.lstm(f(5, 4, 9), f(1, 5, 21), f(1, 5, 21), f(84, 9), f(84, 21), f(84), f(84)),\n"
        "  *K.pool(f(3, 5, 4 * 21), count=4), K.marginals(f(6, 5, 19), f(19, 19), f(19), f(19)),\n"
        "  K.viterbi(f(6, 5, 40), f(40, 40), f(40), f(40))); print(K.instruction_set())"
    )
    found = []
    for chosen in (name, ""):
        environment = {**os.environ, "PYTHONPATH": str(RUNTIME), "MTL_ISA": chosen}
        file = tmp_path / f"{chosen or 'best'}.npz"
        command = [sys.executable, "-c", program, str(file)]
        said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
        assert not chosen or said.decode().strip() in (chosen, "base")
        found.append(np.load(file))
    for key in found[0].files:
        assert np.allclose(found[0][key], found[1][key], atol=1e-5), key


def test_a_program_in_c_tags_a_sentence(tmp_path: Path) -> None:
    torch.manual_seed(0)
    words, width, labels = 9, 21, 5
    table, linear = torch.randn(words, 3 * width), nn.Linear(width, labels)
    scores = torch.randn(labels, labels), torch.randn(labels), torch.randn(labels)
    numbers = [table, linear.weight.detach(), linear.bias.detach(), *scores]
    model = tmp_path / "model"
    sizes = np.array([words, width, labels], np.int64).tobytes()
    model.write_bytes(sizes + b"".join(x.numpy().tobytes() for x in numbers))

    program = tmp_path / "tag"
    flags = [
        "-std=c99",
        "-Wall",
        "-Werror",
        f"-I{RUNTIME / 'include'}",
        f"-Wl,-rpath,{LIBRARY.parent}",
    ]
    source = ROOT / "tests/runtime/tag.c"
    subprocess.run(["cc", *flags, source, LIBRARY, "-o", program], check=True)
    ids = torch.randint(0, words, (1, 12))
    command = [program, model, *(str(word) for word in ids[0].tolist())]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    h = torch.ops.mtl.pool_rows(table, ids, torch.tensor([12]), None, 1, 3, False, 1)
    mask = torch.ones(1, 12, dtype=torch.bool)
    paths, _ = torch.ops.mtl.crf_viterbi(linear(h).detach(), *scores, mask)
    assert [int(label) for label in said.split()] == paths[0].tolist()

    wrong = subprocess.run([program, model, str(words)], stderr=subprocess.PIPE, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr == "tag: an id is not a row of the table\n"


def test_the_header_compiles_from_cpp() -> None:
    command = ["c++", "-x", "c++", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([*command, RUNTIME / "include/mtl_runtime.h"], check=True)

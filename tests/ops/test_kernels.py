"""The reference and the compiled operators, each against the formulas and their derivatives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtl.layers import QRNNLayer
from mtl.ops import library
from mtl.ops.pool import LIBRARY
from mtl.ops.pool_reference import (
    pool_backward_in_place_reference,
    pool_backward_reference,
    pool_reference,
)
from tests.ops.formula import GATES, both_ways

OPERATORS = {
    "reference": (pool_reference, pool_backward_reference, pool_backward_in_place_reference),
    "compiled": (
        torch.ops.mtl.pool,
        torch.ops.mtl.pool_backward,
        torch.ops.mtl.pool_backward_,
    ),
}
compiled = pytest.mark.skipif(bool(LIBRARY.missing), reason=f"compiled: {LIBRARY.missing}")
operators = pytest.mark.parametrize(
    "operators", [pytest.param("compiled", marks=compiled), "reference"]
)
kinds = pytest.mark.parametrize("kind", GATES)
instruction_sets = pytest.mark.parametrize(
    "wanted", [pytest.param("base", marks=pytest.mark.slow), "avx2", "avx512"]
)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Give torch its threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def gates_of(kind: str, batch: int, steps: int, width: int, dtype=torch.float64) -> Tensor:
    return 2 * torch.randn(batch, steps, GATES[kind] * width, dtype=dtype)


@operators
@kinds
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(0, 5), st.sampled_from([1, 3, 16, 21, 70])),
    seed=st.integers(0, 999),
    reverse=st.booleans(),
    directions=st.sampled_from([1, 2]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    strided=st.booleans(),
)
def test_results_and_gradients_are_those_of_the_formula(
    operators: str, kind: str, shape, seed: int, reverse: bool, directions: int, dtype, strided
) -> None:
    forward, backward, in_place = OPERATORS[operators]
    torch.manual_seed(seed)
    batch, steps, width = shape
    lengths = torch.randint(0, steps + 1, (batch,))
    gates = gates_of(kind, batch, steps, directions * width).requires_grad_()
    c0 = torch.randn(batch, directions * width, dtype=torch.float64, requires_grad=True)
    keep = torch.rand(batch, steps, directions * width) < 0.3
    expected = both_ways(kind, gates, c0, lengths.tolist(), reverse, keep, directions)
    by = [torch.randn_like(x) for x in expected]
    slopes = torch.autograd.grad(expected, (gates, c0), by)

    def lay(x: Tensor) -> Tensor:
        x = x.detach().to(dtype, copy=True)
        return x.transpose(0, 1).contiguous().transpose(0, 1) if strided and x.dim() == 3 else x

    rest = (lay(gates), lay(c0), lengths, keep)
    options = GATES[kind], reverse, directions
    h, last, states = forward(*rest, *options, True)
    given = lay(by[0]), lay(by[1]), *rest, h if kind == "f" else states, *options
    found = (h, last, *backward(*given))
    by_c0 = in_place(*given)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for ours, exact in zip((*found, rest[0], by_c0), (*expected, *slopes, *slopes), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=0, atol=tolerance)


@operators
@kinds
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_the_bits_are_computed_in_float32_and_rounded_once(
    operators: str, kind: str, dtype
) -> None:
    forward = OPERATORS[operators][0]
    gates = gates_of(kind, 2, 40, 37).to(dtype)
    rest = (None, torch.tensor([40, 11]), None, GATES[kind], False, 1, True)
    for half, full in zip(forward(gates, *rest), forward(gates.float(), *rest), strict=True):
        assert torch.equal(half, full.to(dtype))


@operators
@kinds
def test_what_is_not_given_is_zero_everywhere_and_nowhere(operators: str, kind: str) -> None:
    forward = OPERATORS[operators][0]
    gates = gates_of(kind, 2, 5, 19)
    given = torch.zeros(2, 19).double(), torch.tensor([5, 5]), torch.zeros(2, 5, 19).bool()
    found = forward(gates, None, None, None, GATES[kind], False, 1, True)
    expected = forward(gates, *given, GATES[kind], False, 1, True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


@operators
@kinds
@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 0, 5), (2, 3, 0)])
def test_empty_tensors_have_empty_results(operators: str, kind: str, shape) -> None:
    forward, backward, _ = OPERATORS[operators]
    gates, c0 = gates_of(kind, *shape), torch.randn(shape[::2], dtype=torch.float64)
    rest = (gates, c0, None, None)
    h, last, _ = forward(*rest, GATES[kind], False, 1, True)
    by_gates, by_c0 = backward(h, last, *rest, h, GATES[kind], False, 1)
    assert h.shape == shape
    assert by_gates.shape == gates.shape
    assert torch.equal(last, c0)
    assert torch.equal(by_c0, last)


@operators
@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_nan_stays_nan_in_its_channel_from_its_step_on(operators: str, kind: str, dtype) -> None:
    forward = OPERATORS[operators][0]
    gates = gates_of(kind, 1, 4, 20, dtype)
    gates[0, 2, 20 + 7] = float("nan")  # the forget gate of channel 7
    h, last, _ = forward(gates, None, None, None, GATES[kind], False, 1, False)
    assert h.isnan().nonzero().tolist() == [[0, 2, 7], [0, 3, 7]]
    assert last.isnan().nonzero().tolist() == [[0, 7]]


@operators
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_infinite_gates_are_shut_or_open(operators: str, dtype) -> None:
    forward = OPERATORS[operators][0]
    inf = float("inf")
    z, f, o = [inf, -inf, 0.3, 0.3], [-inf, -inf, inf, inf], [inf, inf, inf, -inf]
    gates = torch.tensor(z + f + o, dtype=dtype).view(1, 1, 12)
    c0 = torch.full((1, 4), 0.5, dtype=dtype)
    h, _, _ = forward(gates, c0, None, None, 3, False, 1, False)
    expected = torch.tensor([1, -1, 0.5, 0], dtype=dtype).view(1, 1, 4)
    torch.testing.assert_close(h, expected, rtol=0, atol=1e-7)


@compiled
@kinds
@pytest.mark.parametrize("shape", [(1, 60, 1000), (3, 40, 2500), (1, 300, 65)])
def test_one_thread_and_two_give_the_same_bits(kind: str, shape) -> None:
    gates = gates_of(kind, *shape).float()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        h, last, states = torch.ops.mtl.pool(gates, None, None, None, GATES[kind], True, 1, True)
        saved = h if kind == "f" else states
        rest = (gates, None, None, None, saved, GATES[kind], True, 1)
        found.append((h, last, states, *torch.ops.mtl.pool_backward(h, last, *rest)))
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@compiled
@pytest.mark.skipif("MTL_ISA" in os.environ, reason="this is such a run already")
@instruction_sets
def test_every_instruction_set_passes_these_tests(wanted: str) -> None:
    environment = os.environ | {"MTL_ISA": wanted}
    run = [sys.executable, "-m"]
    report = subprocess.check_output([*run, "mtl.ops"], env=environment, text=True)
    if f"compiled, for {wanted}" not in report:
        pytest.skip(f"the processor has no {wanted}")
    if wanted == LIBRARY.instruction_set:
        return
    tests = [*run, "pytest", "-p", "no:cacheprovider", "-m", "not slow", "-k", "compiled"]
    done = subprocess.run(
        [*tests, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.sampled(3)
@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_operators_keep_their_promises_to_torch(kind: str, dtype) -> None:
    gates, c0 = gates_of(kind, 2, 3, 4, dtype), torch.randn(2, 4, dtype=dtype)
    rest = (gates, c0, torch.tensor([3, 1]), torch.rand(2, 3, 4) < 0.5)
    h = torch.randn(2, 3, 4, dtype=dtype)
    for save in (False, True):
        torch.library.opcheck(torch.ops.mtl.pool, (*rest, GATES[kind], True, 1, save))
    for backward in (torch.ops.mtl.pool_backward, torch.ops.mtl.pool_backward_):
        torch.library.opcheck(backward, (h, c0, *rest, h, GATES[kind], True, 1))


@compiled
@pytest.mark.parametrize(
    ("c0", "lengths", "message"),
    [
        (torch.zeros(2, 5), None, "c0 does not fit"),
        (torch.zeros(2, 4).double(), None, "c0 does not fit"),
        (None, torch.zeros(3).long(), "lengths does not fit"),
        (None, torch.zeros(2), "lengths does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(c0, lengths, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        torch.ops.mtl.pool(torch.zeros(2, 3, 12), c0, lengths, None, 3, False, 1, False)


# Dynamo makes an instance of every autograd function to find its methods.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.slow
def test_layers_compile_in_one_graph_and_export(window: int) -> None:
    layer = QRNNLayer(4, 5, window=window, reverse=True)
    x = torch.randn(2, 6, 4, requires_grad=True)
    mask = torch.arange(6) < torch.tensor([[6], [3]])
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    expected, found = (f(x, mask=mask)[0] for f in (layer, compiled))
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(h.square().sum(), x)[0] for h in (expected, found)]
    torch.testing.assert_close(*slopes)
    with torch.no_grad():
        exported = torch.export.export(layer, (x,), {"mask": mask})
        torch.testing.assert_close(exported.module()(x, mask=mask)[0], expected.detach())
    assert torch.ops.mtl.pool.default in {node.target for node in exported.graph.nodes}


def test_without_the_library_the_reference_runs_and_warns_once() -> None:
    code = "import torch, mtl.ops as o; [o.f_pool(torch.zeros(1, 2, 4)) for _ in range(3)]"
    environment = os.environ | {"MTL_NO_EXT": "1"}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("pooling runs in plain PyTorch, several times slower than compiled; ")


def test_without_the_library_the_report_has_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MTL_NO_EXT", raising=False)
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    monkeypatch.setattr(library, "REASON", tmp_path / "not_built.txt")
    read = library.load.__wrapped__
    assert "they are not built; to compile them, install a C++ compiler" in str(read("cpu"))
    (tmp_path / "not_built.txt").write_text("the disk was full\n")
    found = str(read("cpu"))
    assert found.startswith("plain PyTorch, which makes CRFs and QRNNs several times slower; ")
    assert "; the disk was full; to compile them, " in found
    (tmp_path / "_cpu.abi3.so").write_text("no library")
    assert "cannot load _cpu.abi3.so" in str(read("cpu"))
    assert str(read("mps")).endswith("no compiled operators exist for mps")

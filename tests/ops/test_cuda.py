"""The kernels for CUDA: on a GPU where there is one, and always compiled for the processor, their
threads run one after another. nvcc must take them as well, where it is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.cpp_extension import include_paths

from mtl.layers import QRNNLayer
from mtl.ops import fo_pool
from mtl.ops.pool import CUDA_LIBRARY
from mtl.ops.pool_reference import pool_backward_reference, pool_reference
from tests.ops.emulation import COMPILER, SOURCE, Emulation
from tests.ops.formula import GATES, both_ways

NVCC = shutil.which("nvcc")
MISSING = CUDA_LIBRARY.missing or (not torch.cuda.is_available() and "there is no CUDA device")
GPU = [pytest.mark.gpu, pytest.mark.skipif(bool(MISSING), reason=f"cuda: {MISSING}")]
EMULATED = pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")
MACHINES = [pytest.param("cpu", marks=EMULATED, id="emulated"), pytest.param("cuda", marks=GPU)]
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 2e-5,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
}
kinds = pytest.mark.parametrize("kind", GATES)


def on_gpu(test):
    for mark in GPU:
        test = mark(test)
    return test


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Return the operators, and the device of the tensors that they take."""
    if request.param == "cpu":
        return Emulation(tmp_path_factory.mktemp("emulation"))
    names = ("pool", "pool_backward", "pool_backward_")
    operators = {name: getattr(torch.ops.mtl, name) for name in names}
    return SimpleNamespace(**operators, device=request.param)


def cut(x: Tensor, before: int, behind: int, dimensions: tuple[int, ...]) -> Tensor:
    """Return x as a part of a larger tensor of NaN."""
    larger = [n + (before + behind if i in dimensions else 0) for i, n in enumerate(x.shape)]
    view = x.new_full(larger, torch.nan)
    for i in dimensions:
        view = view.narrow(i, before, x.shape[i])
    return view.copy_(x)


LAYOUTS = {
    "side by side": lambda x: x.clone(),
    "steps first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "in longer sentences": lambda x: cut(x, 1, 2, (1,)),
    "at odd places": lambda x: cut(x, 1, 2, (0, 1, 2)),
}


@kinds
@given(
    shape=st.tuples(st.integers(1, 2), st.sampled_from([0, 1, 5, 9, 30])),
    width=st.sampled_from([1, 2, 33, 70]),
    seed=st.integers(0, 999),
    reverse=st.booleans(),
    directions=st.sampled_from([1, 2]),
    dtype=st.sampled_from(list(TOLERANCES)),
    lay=st.sampled_from(list(LAYOUTS.values())),
    optional=st.booleans(),
)
def test_results_and_gradients_are_those_of_the_formula(
    machine, kind, shape, width, seed, reverse, directions, dtype, lay, optional
) -> None:
    torch.manual_seed(seed)
    batch, steps = shape
    draw = lambda *sizes: torch.randn(*sizes, directions * width).to(dtype)  # noqa: E731
    gates = 2 * torch.randn(*shape, directions * GATES[kind] * width).to(dtype)
    c0 = draw(batch) if optional else None
    lengths = torch.randint(0, steps + 1, (batch,)) if optional else None
    keep = torch.rand(*shape, directions * width) < 0.3 if optional else None
    by_h, by_last = draw(*shape), draw(batch)
    expected = exact(kind, gates, c0, lengths, keep, reverse, directions, by_h, by_last)

    options = GATES[kind], reverse, directions
    to = lambda x: x if x is None else x.to(machine.device)  # noqa: E731
    gates, by_h = lay(to(gates)), lay(to(by_h))
    rest = to(c0), to(lengths), to(keep)
    h, last, states = machine.pool(gates, *rest, *options, True)
    given = by_h, to(by_last), gates, *rest, h if kind == "f" else states, *options
    found = [h, last, *machine.pool_backward(*given)]
    found += [machine.pool_backward_(*given), gates]
    for ours, right in zip(found, [*expected, expected[3], expected[2]], strict=True):
        tolerance = TOLERANCES[dtype]
        torch.testing.assert_close(ours.cpu().double(), right, rtol=tolerance, atol=tolerance)
    if gates._base is not None:
        assert gates._base.isnan().sum() == gates._base.numel() - gates.numel()


def exact(kind, gates, c0, lengths, keep, reverse, directions, by_h, by_last) -> list[Tensor]:
    """Return h, the last state and the gradients by gates and c0, in float64."""
    gates = gates.double().requires_grad_()
    start = torch.zeros_like(by_last) if c0 is None else c0
    start = start.double().requires_grad_()
    ends = [gates.shape[1]] * len(gates) if lengths is None else lengths.tolist()
    kept = torch.zeros_like(by_h).bool() if keep is None else keep
    results = both_ways(kind, gates, start, ends, reverse, kept, directions)
    by = by_h.double(), by_last.double()
    slopes = torch.autograd.grad(results, (gates, start), by, materialize_grads=True)
    return [x.detach() for x in (*results, *slopes)]


# One warp that takes the steps by turns, a few, and as many as there can be.
@pytest.mark.sampled(3)
@kinds
@pytest.mark.parametrize(("batch", "steps", "width"), [(150, 20, 650), (40, 50, 300), (1, 450, 40)])
def test_any_sharing_of_the_steps_gives_the_same(machine, kind: str, batch, steps, width) -> None:
    gates = 2 * torch.randn(batch, steps, GATES[kind] * width, device=machine.device)
    lengths = torch.randint(0, steps + 1, (batch,), device=machine.device)
    rest, options = (None, lengths, None), (GATES[kind], True, 1)
    h, last, states = machine.pool(gates, *rest, *options, True)
    by = torch.randn_like(h), torch.randn_like(last)
    saved = h if kind == "f" else states
    found = h, last, *machine.pool_backward(*by, gates, *rest, saved, *options)
    exactly = gates.double()
    h, last, states = pool_reference(exactly, *rest, *options, True)
    saved = h if kind == "f" else states
    by = [x.double() for x in by]
    right = h, last, *pool_backward_reference(*by, exactly, *rest, saved, *options)
    for ours, double in zip(found, right, strict=True):
        torch.testing.assert_close(ours.double(), double, rtol=0, atol=2e-5)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_nan_stays_in_its_channel_from_its_step_on(machine, dtype) -> None:
    gates = torch.randn(1, 40, 3 * 34, dtype=dtype, device=machine.device)
    gates[0, 21, 34 + 7] = torch.nan  # the forget gate of channel 7
    h, last, _ = machine.pool(gates, None, None, None, 3, False, 1, False)
    assert h.isnan().nonzero().tolist() == [[0, t, 7] for t in range(21, 40)]
    assert last.isnan().nonzero().tolist() == [[0, 7]]


@pytest.mark.skipif(not NVCC, reason="there is no nvcc")
@pytest.mark.slow
@pytest.mark.parametrize("kind", [80, 90])
def test_the_kernels_compile(kind: int, tmp_path: Path) -> None:
    code = f"arch=compute_{kind},code=sm_{kind}"
    command = [NVCC, "-std=c++17", "-gencode", code, "-c", SOURCE, "-o", tmp_path / "pool.o"]
    subprocess.run(command, check=True)


@pytest.mark.skipif(not NVCC or not COMPILER, reason="there is no nvcc, or no C++ compiler")
def test_what_registers_them_compiles_against_this_torch(tmp_path: Path) -> None:
    dry = [NVCC, "--dryrun", "-c", SOURCE, "-o", tmp_path / "pool.o"]
    told = subprocess.run(dry, check=True, capture_output=True, text=True).stderr.splitlines()
    (toolkit,) = (line.partition("TOP=")[2] for line in told if "TOP=" in line)
    folders = [*include_paths(), f"{toolkit}/include"]
    headers = [part for folder in folders for part in ("-isystem", folder)]
    macros = ["-DTORCH_TARGET_VERSION=0x020a000000000000", '-DMTL_BUILD=""', '-DMTL_KINDS=""']
    file = SOURCE.with_name("register.cpp")
    flags = ["-std=c++17", "-fsyntax-only", "-fvisibility=hidden", "-Wall", "-Werror"]
    subprocess.run([COMPILER, *flags, *macros, *headers, file], check=True)


@on_gpu
def test_gradients_are_those_of_finite_differences() -> None:
    gates = torch.randn(2, 4, 18, dtype=torch.float64, device="cuda", requires_grad=True)
    c0 = torch.randn(2, 6, dtype=torch.float64, device="cuda", requires_grad=True)
    lengths = torch.tensor([4, 2], device="cuda")
    pool = lambda *given: fo_pool(*given, lengths, bidirectional=True)  # noqa: E731
    assert torch.autograd.gradcheck(pool, (gates, c0))


@on_gpu
def test_what_is_on_another_device_is_refused() -> None:
    gates = torch.zeros(2, 3, 12, device="cuda")
    with pytest.raises(RuntimeError, match="lengths does not fit"):
        fo_pool(gates, None, torch.tensor([3, 1]))


@on_gpu
def test_a_graph_replays_forward_and_backward_pass() -> None:
    gates, by_h = torch.randn(4, 30, 192, device="cuda"), torch.randn(4, 30, 64, device="cuda")
    gates.requires_grad_()
    run = lambda: torch.autograd.grad(fo_pool(gates)[0], gates, by_h)[0]  # noqa: E731
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = run()
    with torch.no_grad():
        gates.normal_()
    graph.replay()
    torch.testing.assert_close(found, run())


@on_gpu
def test_kernels_run_on_the_stream_of_torch() -> None:
    gates = torch.zeros(8, 200, 3 * 512, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(100_000_000)  # the other stream would read zeros meanwhile
        gates.normal_()
        found = fo_pool(gates)[0]
    side.synchronize()
    torch.testing.assert_close(found, fo_pool(gates)[0])


@on_gpu
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_layers_compile_in_one_graph() -> None:
    layer = QRNNLayer(4, 5).cuda()
    x = torch.randn(2, 6, 4, device="cuda", requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected, found = layer(x)[0], compiled(x)[0]
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(h.square().sum(), x)[0] for h in (expected, found)]
    torch.testing.assert_close(*slopes)

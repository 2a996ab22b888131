"""The layer in one function against the same sums written out, and what it does to its gates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtl.ops import f_pool, fo_pool, ifo_pool
from mtl.ops.qrnn import COUNTS, qrnn

POOLS = {"f": f_pool, "fo": fo_pool, "ifo": ifo_pool}


def written_out(x, weight, bias, c0, before, lengths, *, pooling, reverse, bidirectional):
    """Gates token by token, one direction at a time."""
    h, last = [], []
    for way in range(1 + bidirectional):
        width = weight.shape[1]
        own = x if x.shape[2] == width else x.chunk(2, dim=2)[way]
        backwards = reverse != (way == 1)
        columns = weight.chunk(1 + bidirectional, dim=2)[way]
        shift = bias.chunk(1 + bidirectional)[way]
        gates = 0 * (own @ columns[0])  # connected to the graph even without tokens
        for row, length in enumerate(lengths.tolist()):
            earlier = [own.new_zeros(width)] * (len(weight) - 1)  # in reading order
            if before is not None and not backwards:
                earlier = list(before[row].view(-1, width))
            order = range(length - 1, -1, -1) if backwards else range(length)
            read = [*earlier, *(own[row, t] for t in order)]
            for place, t in enumerate(order, len(weight) - 1):
                taps = [read[place - k] @ columns[k] for k in range(len(weight))]
                gates[row, t] = shift + sum(taps)
        start = None if c0 is None else c0.chunk(1 + bidirectional, dim=1)[way]
        out = POOLS[pooling](gates, start, lengths, reverse=backwards)
        h.append(out[0])
        last.append(out[1])
    return torch.cat(h, dim=2), torch.cat(last, dim=1)


@given(
    seed=st.integers(0, 999),
    steps=st.integers(0, 5),
    window=st.integers(1, 4),
    pooling=st.sampled_from(sorted(POOLS)),
    reading=st.sampled_from(["ahead", "back", "both", "halves"]),
    carried=st.booleans(),
)
def test_values_and_gradients_are_those_of_the_sums(
    seed: int, steps: int, window: int, pooling: str, reading: str, carried: bool
) -> None:
    torch.manual_seed(seed)
    both, reverse = reading in ("both", "halves"), reading == "back"
    width, ways = 3, 1 + both

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, requires_grad=True)

    x = leaf(3, steps, width * (2 if reading == "halves" else 1))
    weight, bias = leaf(window, width, ways * COUNTS[pooling] * 4), leaf(ways * COUNTS[pooling] * 4)
    c0 = leaf(3, ways * 4) if carried else None
    earlier = (window - 1) * width
    before = leaf(3, earlier) if carried and earlier and not reverse else None
    given = [x, weight, bias, c0, before]
    lengths = torch.randint(0, steps + 1, (3,))
    options = {"pooling": pooling, "reverse": reverse, "bidirectional": both}
    leaves = [x for x in given if x is not None]
    found, expected = qrnn(*given, lengths, **options), written_out(*given, lengths, **options)
    by = [torch.randn_like(y) for y in expected]
    slopes = [torch.autograd.grad(y, leaves, by, materialize_grads=True) for y in (found, expected)]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)


def small(window: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    weight = torch.randn(window, 4, 24, dtype=torch.float64, requires_grad=True)
    return torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True), weight, weight[0, 0] * 0


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_gradients_are_those_of_finite_differences(window: int) -> None:
    x, weight, bias = small(window)
    earlier = torch.randn(2, (window - 1) * 4, dtype=torch.float64, requires_grad=True)
    given = (x, weight) if window == 1 else (x, weight, earlier)
    assert torch.autograd.gradcheck(
        lambda x, weight, before=None: qrnn(x, weight, bias.detach(), before=before), given
    )


def test_a_graph_that_is_kept_gives_the_same_gradient_again() -> None:
    x, weight, bias = small()
    total = qrnn(x, weight, bias)[0].square().sum()
    first = torch.autograd.grad(total, (x, weight), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(total, (x, weight)), first)


def test_second_derivatives_are_refused() -> None:
    x, weight, bias = small()
    (slope,) = torch.autograd.grad(qrnn(x, weight, bias)[0].sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        slope.sum().backward()


def test_a_step_of_training_saves_gates_and_states_alone() -> None:
    saved = {}
    x, weight, bias = (t.detach().requires_grad_() for t in small())

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        qrnn(x, weight, bias)
    for known in (x, weight):
        del saved[known.untyped_storage().data_ptr()]
    gates, states = 2 * (6 + 1) * 24, 2 * 6 * 8  # a row in front of each sentence, for window 2
    assert sum(saved.values()) == 8 * (gates + states)


def test_the_parameters_of_autocast_decide_the_type() -> None:
    x, weight, bias = (t.detach().float() for t in small())
    with torch.autocast("cpu", torch.bfloat16):
        h, last = qrnn(x, weight, bias)
    assert h.dtype == last.dtype == torch.bfloat16
    torch.testing.assert_close(h.float(), qrnn(x, weight, bias)[0], rtol=0, atol=0.05)


def test_before_cannot_be_combined_with_reverse() -> None:
    x, weight, bias = small()
    with pytest.raises(ValueError, match="before: expected None with reverse=True"):
        qrnn(x, weight, bias, before=x[:, 0], reverse=True)

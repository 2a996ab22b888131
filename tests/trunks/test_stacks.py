"""Links between layers, the layer below the first, and the sum over all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.layers.sequence import reverse_padded
from mtl.trunks import GRUTrunk, LSTMTrunk, QRNNTrunk, Trunk

WIDTH, HIDDEN = 5, 4
ALL = [LSTMTrunk, GRUTrunk, QRNNTrunk]
every = pytest.mark.parametrize("cls", ALL)
sides = pytest.mark.parametrize("side", [True, False, "interleaved"])


def made(cls: Any, like: Trunk | None = None, **options: Any) -> Any:
    """A trunk with the weights of another, or random ones."""
    options = {"num_layers": 3, "hidden_size": HIDDEN, **options}
    trunk = cls(WIDTH, **options).double().eval()
    if like is None:
        for parameter in trunk.parameters():
            nn.init.uniform_(parameter, -0.7, 0.7)
    else:
        names = trunk.state_dict()
        trunk.load_state_dict({k: v for k, v in like.state_dict().items() if k in names})
    return trunk


def text() -> tuple[Tensor, Tensor]:
    mask = torch.arange(6) < torch.tensor([6, 1, 4, 3]).unsqueeze(1)
    return torch.randn(4, 6, WIDTH).double() * mask.unsqueeze(-1), mask


@every
@sides
def test_residual_layers_after_the_first_add_their_input(cls: Any, side: Any) -> None:
    (x, mask), trunk = text(), made(cls, bidirectional=side, connections="residual")
    plain = made(cls, trunk, bidirectional=side)
    _, first, second, third = trunk(x, mask)[0]
    assert torch.equal(first, plain(x, mask)[0][1])
    torch.testing.assert_close(second, first + plain.step(2, [x, first], mask, None)[0])
    torch.testing.assert_close(third, second + plain.step(3, [x, first, second], mask, None)[0])


@every
@pytest.mark.parametrize("side", [False, "interleaved"])
def test_a_highway_gate_mixes_input_and_output(cls: Any, side: Any) -> None:
    (x, mask), trunk = text(), made(cls, bidirectional=side, connections="highway")
    plain = made(cls, trunk, bidirectional=side)
    _, first, second, _ = trunk(x, mask)[0]
    (gate,) = trunk.links[0].gates
    t = torch.sigmoid(first @ gate.weight.T + gate.bias)
    expected = t * plain.step(2, [x, first], mask, None)[0] + (1 - t) * first
    torch.testing.assert_close(second, expected * mask.unsqueeze(-1))


@pytest.mark.parametrize("side", [False, "interleaved"])
def test_dense_layers_read_the_tokens_and_all_layers_below(side: Any) -> None:
    (x, mask), trunk = text(), made(LSTMTrunk, bidirectional=side, connections="dense")
    mask = mask | True
    _, first, second, third = trunk(x, mask)[0]
    direction = trunk.layers[2].ahead.rnn
    lstm = nn.LSTM(WIDTH + 2 * first.shape[2], HIDDEN, batch_first=True).double()
    lstm.load_state_dict(direction.state_dict())
    expected, _ = lstm(torch.cat([x, first, second], dim=2))
    torch.testing.assert_close(third[..., :HIDDEN], expected)


@pytest.mark.parametrize("cls", [LSTMTrunk, GRUTrunk])
@pytest.mark.parametrize("connections", ["none", "residual", "highway", "dense"])
def test_two_stacks_equal_two_trunks_of_one_direction(cls: Any, connections: str) -> None:
    options = {"connections": connections, "sum_layers": True, "feed_forward": 7}
    (x, mask), both = text(), made(cls, bidirectional=True, **options)
    weights = both.state_dict()
    halves = [made(cls, bidirectional=False, **options) for _ in range(2)]
    for half, side, gate in zip(
        halves, (".ahead.", ".back."), (".gates.0.", ".gates.1."), strict=True
    ):
        names = {
            name: name.replace(".ahead.", side).replace(".gates.0.", gate)
            for name in half.state_dict()
        }
        half.load_state_dict({name: weights[other] for name, other in names.items()})
    ahead = halves[0](x, mask)[0][-1]
    back = reverse_padded(halves[1](reverse_padded(x, mask), mask)[0][-1], mask)
    torch.testing.assert_close(both(x, mask)[0][-1], torch.cat([ahead, back], dim=2))


@every
@sides
def test_the_last_output_may_be_the_sum_of_all(cls: Any, side: Any) -> None:
    (x, mask), plain = text(), made(cls, bidirectional=side)
    *below, last = made(cls, plain, bidirectional=side, sum_layers=True)(x, mask)[0]
    expected = plain(x, mask)[0]
    assert all(torch.equal(a, b) for a, b in zip(below, expected[:-1], strict=True))
    torch.testing.assert_close(last, sum(expected[1:]))


@every
def test_a_feed_forward_layer_stands_below_the_first(cls: Any) -> None:
    (x, mask), trunk = text(), made(cls, feed_forward=7)
    recurrent = cls(7, num_layers=3, hidden_size=HIDDEN).double().eval()
    recurrent.load_state_dict({k: v for k, v in trunk.state_dict().items() if "below" not in k})
    _, linear, _ = trunk.below
    rectified = (x @ linear.weight.T + linear.bias).clamp(min=0)
    layers, expected = trunk(x, mask)[0], recurrent(rectified, mask)[0]
    assert layers[0] is x
    torch.testing.assert_close(layers[1:], expected[1:])


@every
@pytest.mark.parametrize("connections", ["residual", "highway", "dense"])
def test_links_bring_gradients_to_the_bottom_of_a_deep_stack(cls: Any, connections: str) -> None:
    def reaching(connections: str) -> Tensor:
        trunk = cls(WIDTH, num_layers=20, hidden_size=HIDDEN, connections=connections).double()
        x, mask = text()
        x.requires_grad_()
        trunk.eval()(x, mask)[0][-1].sum().backward()
        return x.grad.norm()

    assert reaching(connections) > 10 * reaching("none")


@every
def test_a_layer_trains_only_itself_and_what_is_below_it(cls: Any) -> None:
    (x, mask), trunk = text(), made(cls, connections="highway", feed_forward=6)
    for i in (1, 2, 3):
        trunk.zero_grad()
        trunk(x, mask)[0][i].sum().backward()
        trained = [{p.grad is not None for p in own} for own in trunk.layer_parameters()]
        assert trained == [{True}] * i + [{False}] * (3 - i)


@every
@sides
def test_a_layer_learns_the_same_above_frozen_ones(cls: Any, side: Any) -> None:
    (x, mask), trunk = text(), made(cls, bidirectional=side, connections="residual")
    *below, last = trunk.layer_parameters()
    expected = torch.autograd.grad(trunk(x, mask)[0][-1].pow(2).sum(), last)
    for parameter in [parameter for own in below for parameter in own]:
        parameter.requires_grad_(False)
    found = torch.autograd.grad(trunk(x, mask)[0][-1].pow(2).sum(), last)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)

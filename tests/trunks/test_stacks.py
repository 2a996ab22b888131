"""Links between layers, the layer below the first, and the sum over all of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.layers.sequence import reverse_padded
from mtl.options import RunContext
from mtl.trunks import CellTrunk, GRUTrunk, LSTMTrunk, QRNNTrunk, Trunk

WIDTH, HIDDEN = 5, 4
ALL = [LSTMTrunk, GRUTrunk, QRNNTrunk, CellTrunk]
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
    linear = trunk.below[1]
    rectified = (x @ linear.weight.T + linear.bias).clamp(min=0)
    layers, expected = trunk(x, mask)[0], recurrent(rectified, mask)[0]
    assert layers[0] is x
    torch.testing.assert_close(layers[1:], expected[1:])


@pytest.mark.sampled(3)
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


@every
@sides
def test_sums_of_residuals_add_the_inputs_of_all_layers(cls: Any, side: Any) -> None:
    (x, mask), trunk = text(), made(cls, bidirectional=side, connections="residual_sum")
    plain = made(cls, trunk, bidirectional=side)
    _, first, second, third = trunk(x, mask)[0]
    inputs = [x, first]
    for found in (second, third):
        output = plain.step(len(inputs), inputs, mask, None)[0]
        torch.testing.assert_close(found, output + sum(inputs[1:]))
        inputs.append(found)


@every
def test_a_skip_brings_the_tokens_to_every_layer(cls: Any) -> None:
    (x, mask), trunk = text(), made(cls, bidirectional=False, connections="skip")
    _, first, second, third = trunk(x, mask)[0]
    for layer, below, expected in ((1, first, second), (2, second, third)):
        output, _ = trunk.layers[layer](torch.cat([x, below], dim=2), mask, None)
        torch.testing.assert_close(output * mask.unsqueeze(2), expected)


@every
@sides
@pytest.mark.parametrize("connections", ["none", "dense", "skip"])
def test_the_last_layer_may_have_another_width(cls: Any, side: Any, connections: Any) -> None:
    trunk = made(cls, bidirectional=side, connections=connections, last_size=2)
    ways = 1 + bool(side)
    assert trunk.sizes == [WIDTH, ways * HIDDEN, ways * HIDDEN, ways * 2]
    layers, _ = trunk(*text())
    assert [layer.shape[2] for layer in layers] == trunk.sizes


class Ones(nn.Module):
    """A layer that returns its input."""

    def forward(self, x: Tensor, mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        return x, None


def test_dropout_of_the_tokens_and_between_layers_are_apart() -> None:
    def dropped(**options: Any) -> list[float]:
        trunk = LSTMTrunk(400, hidden_size=400, bidirectional=False, num_layers=3, **options)
        trunk.layers = nn.ModuleList([Ones() for _ in range(3)])
        layers, _ = trunk.train()(torch.ones(1, 3, 400), torch.ones(1, 3, dtype=torch.bool))
        kept = [(layer[0, 0] != 0).double().mean().item() for layer in layers]
        return [1 - after / before for before, after in pairwise(kept)]

    assert dropped(dropout=0.2, input_dropout=0.6) == pytest.approx([0.6, 0.2, 0.2], abs=0.12)
    assert dropped(dropout=0.5, input_dropout=0.0) == pytest.approx([0.0, 0.5, 0.5], abs=0.12)
    assert dropped(dropout=0.5) == pytest.approx([0.5, 0.5, 0.5], abs=0.12)


def test_the_layer_of_rectified_units_stands_between_both_dropouts() -> None:
    trunk = LSTMTrunk(4, feed_forward=6, dropout=0.2, input_dropout=0.6)
    assert [part.p for part in trunk.below if hasattr(part, "p")] == [0.6, 0.2]


def test_standout_acts_on_the_layer_of_rectified_units() -> None:
    (x, mask), trunk = text(), made(LSTMTrunk, feed_forward=7, standout=True, dropout=0.0)
    linear = trunk.below[1]
    a = x @ linear.weight.T + linear.bias
    torch.testing.assert_close(trunk.below(x), a.clamp(min=0) * torch.sigmoid(a))
    trunk.train()
    assert not torch.equal(trunk(x, mask)[0][-1], trunk(x, mask)[0][-1])


@pytest.mark.parametrize(
    ("options", "option", "reason"),
    [
        ({"last_size": 3, "connections": "residual"}, "last_size", "connections: residual needs"),
        ({"last_size": 3, "connections": "highway"}, "last_size", "connections: highway needs"),
        ({"last_size": 3, "sum_layers": True}, "last_size", "sum_layers needs layers of equal"),
        ({"last_size": 3, "num_layers": 1}, "last_size", "num_layers is at least 2"),
        ({"dropout": 0.0, "dropout_type": "evolutional"}, "dropout_type", "input_dropout is above"),
        ({"standout": True}, "standout", "unless feed_forward is set"),
    ],
)
def test_options_that_exclude_each_other_are_named(
    options: dict[str, Any], option: str, reason: str
) -> None:
    with pytest.raises(OptionError, match=reason) as caught:
        LSTMTrunk(WIDTH, hidden_size=HIDDEN, **options)
    assert caught.value.option == option


def test_a_check_reports_options_that_exclude_each_other() -> None:
    options = {"last_size": 3, "hidden_size": 4, "connections": "residual"}
    errors = list(GRUTrunk.check(options, RunContext(tasks=("a",))))
    assert [error.option for error in errors] == ["last_size"]
    assert not list(GRUTrunk.check({**options, "last_size": 4}, RunContext(tasks=("a",))))


@every
def test_evolutional_dropout_acts_on_every_input_in_training_alone(cls: Any) -> None:
    (x, mask), plain = text(), made(cls)
    trunk = made(cls, plain, dropout=0.5, dropout_type="evolutional")
    assert torch.equal(trunk(x, mask)[0][-1], plain(x, mask)[0][-1])
    trunk.train()
    for i in (1, 2):
        hidden = [x, *plain(x, mask)[0][1:i]]
        first, second = (trunk.step(i, hidden, mask, None)[0] for _ in range(2))
        assert not torch.equal(first, second)

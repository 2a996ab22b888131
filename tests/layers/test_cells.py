"""Recurrent highway layers and other cells: the formulas are the oracles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.layers import BC3Cell, NASCell, PeepholeLSTM, RecurrentHighway

D, H = 3, 5
CELLS = [RecurrentHighway, NASCell, PeepholeLSTM, BC3Cell]
LENGTHS = [6, 2, 4]


def made(cls: Any, **options: Any) -> tuple[Any, dict[str, Tensor]]:
    """A layer with random weights, and its weights in blocks of H rows."""
    layer = cls(D, H, **options).double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -1, 1)
    return layer, {name: p.split(H) for name, p in layer.named_parameters()}


def text() -> tuple[Tensor, Tensor]:
    return torch.randn(3, 6, D).double(), torch.randn(2, 3, H).double()


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_recurrent_highway_follows_the_paper(depth: int) -> None:
    layer, p = made(RecurrentHighway, depth=depth)
    x, (s, _) = text()
    start, expected = s, []
    for t in range(6):
        for i in range(depth):
            a, u = (
                s @ p["weight_hh_l0"][row].T + p["bias_ih_l0"][row] + p["bias_hh_l0"][row]
                for row in (2 * i, 2 * i + 1)
            )
            if i == 0:
                a = a + x[:, t] @ p["weight_ih_l0"][0].T
                u = u + x[:, t] @ p["weight_ih_l0"][1].T
            transform = torch.sigmoid(u)
            carry = 1 - transform
            s = torch.tanh(a) * transform + s * carry
        expected.append(s)
    found, (end,) = layer(x, (start[None],))
    torch.testing.assert_close(found, torch.stack(expected, 1))
    torch.testing.assert_close(end[0], s)


def test_the_nas_cell_follows_its_graph() -> None:
    layer, p = made(NASCell)
    x, (h, c) = text()
    start, expected = (h[None], c[None]), []
    add, times = torch.add, torch.mul
    first = [
        (add, torch.sigmoid), (add, torch.relu), (add, torch.sigmoid), (times, torch.relu),
        (add, torch.tanh), (add, torch.sigmoid), (add, torch.tanh), (add, torch.sigmoid),
    ]  # fmt: skip
    for t in range(6):
        leaves = [
            activation(
                combine(
                    x[:, t] @ p["weight_ih_l0"][i].T + p["bias_ih_l0"][i],
                    h @ p["weight_hh_l0"][i].T + p["bias_hh_l0"][i],
                )
            )
            for i, (combine, activation) in enumerate(first)
        ]
        left = torch.tanh(torch.tanh(leaves[0] * leaves[1]) + c)
        c = left * torch.tanh(leaves[2] + leaves[3])
        right = torch.tanh(leaves[4] * leaves[5]) + torch.sigmoid(leaves[6] + leaves[7])
        h = torch.tanh(c * torch.tanh(right))
        expected.append(h)
    found, end = layer(x, start)
    torch.testing.assert_close(found, torch.stack(expected, 1))
    torch.testing.assert_close(end, (h[None], c[None]))


def test_the_peephole_lstm_follows_the_paper() -> None:
    layer, p = made(PeepholeLSTM)
    x, (h, c) = text()
    start, expected = (h[None], c[None]), []
    peep = dict(zip("ifo", layer.peepholes, strict=True))

    def gate(name: str, t: int) -> Tensor:
        row = "ifgo".index(name)
        bias = p["bias_ih_l0"][row] + p["bias_hh_l0"][row]
        return x[:, t] @ p["weight_ih_l0"][row].T + h @ p["weight_hh_l0"][row].T + bias

    for t in range(6):
        entry = torch.sigmoid(gate("i", t) + peep["i"] * c)
        kept = torch.sigmoid(gate("f", t) + peep["f"] * c)
        c = kept * c + entry * torch.tanh(gate("g", t))
        h = torch.sigmoid(gate("o", t) + peep["o"] * c) * torch.tanh(c)  # the new cell
        expected.append(h)
    found, end = layer(x, start)
    torch.testing.assert_close(found, torch.stack(expected, 1))
    torch.testing.assert_close(end, (h[None], c[None]))


def test_without_peepholes_it_is_the_lstm_of_torch() -> None:
    layer, _ = made(PeepholeLSTM)
    nn.init.zeros_(layer.peepholes)
    other = nn.LSTM(D, H, batch_first=True).double()
    other.load_state_dict({n: w for n, w in layer.state_dict().items() if n != "peepholes"})
    x, _ = text()
    torch.testing.assert_close(layer(x)[0], other(x)[0])


def test_the_bc3_cell_follows_its_equations() -> None:
    layer, p = made(BC3Cell)
    x, (h, _) = text()
    start, expected = h[None], []
    w = dict(zip(("f", "o", "c", "z", "X", "Y"), p["weight_ih_l0"], strict=True))
    recurrent = dict(zip("fo", p["weight_hh_l0"], strict=True))
    bias = {g: p["bias_ih_l0"][i] + p["bias_hh_l0"][i] for i, g in enumerate("fo")}
    for t in range(6):
        by = {name: x[:, t] @ matrix.T for name, matrix in w.items()}
        f, o = (1 / (1 + torch.exp(-by[g] - h @ recurrent[g].T - bias[g])) for g in "fo")
        z = ((by["X"] * by["Y"]) @ layer.mixture.weight.T) * by["z"]
        c = torch.tanh(f * by["c"] + (1 - f) * z)
        h = o * c + (1 - o) * h
        expected.append(h)
    found, (end,) = layer(x, (start,))
    torch.testing.assert_close(found, torch.stack(expected, 1))
    torch.testing.assert_close(end[0], h)


@pytest.mark.parametrize("cls", [NASCell, PeepholeLSTM, BC3Cell])
def test_zoneout_keeps_a_share_of_the_old_state_in_evaluation(cls: Any) -> None:
    layer, _ = made(cls, zoneout=0.25)
    x, start = text()
    start = tuple(start[: layer.parts, None])
    new = layer.step(layer.from_input(x)[:, 0], [part[0] for part in start], lambda h: h)
    _, end = layer.eval()(x[:, :1], start)
    for part, old, fresh in zip(end, start, new, strict=True):
        torch.testing.assert_close(part, 0.25 * old + 0.75 * fresh)


@pytest.mark.parametrize("cls", CELLS)
def test_padding_leaves_the_state(cls: Any) -> None:
    layer, _ = made(cls)
    x, _ = text()
    mask = torch.arange(6) < torch.tensor(LENGTHS).unsqueeze(1)
    _, end = layer(x, None, mask)
    for row, length in enumerate(LENGTHS):
        _, alone = layer(x[row : row + 1, :length])
        for part, whole in zip(alone, end, strict=True):
            torch.testing.assert_close(part[:, 0], whole[:, row])


def test_recurrent_dropout_has_one_mask_for_all_tokens_and_depths() -> None:
    layer, p = made(RecurrentHighway, depth=2, recurrent_dropout=0.5)
    x, (s, _) = text()
    start = s
    torch.manual_seed(3)
    found, _ = layer(x, (start[None],))
    torch.manual_seed(3)
    kept = nn.functional.dropout(torch.ones(3, H).double(), 0.5)
    bias = [b + c for b, c in zip(p["bias_ih_l0"], p["bias_hh_l0"], strict=True)]
    for t in range(6):
        for i in (0, 1):
            read = s * kept
            a, u = (read @ p["weight_hh_l0"][r].T + bias[r] for r in (2 * i, 2 * i + 1))
            if i == 0:
                a, u = (y + x[:, t] @ w.T for y, w in zip((a, u), p["weight_ih_l0"], strict=True))
            s = s + torch.sigmoid(u) * (torch.tanh(a) - s)
        torch.testing.assert_close(found[:, t], s)


@pytest.mark.parametrize("cls", CELLS)
def test_gradients_are_exact(cls: Any) -> None:
    layer, _ = made(cls)
    x = torch.randn(2, 3, D).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,))

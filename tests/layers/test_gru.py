"""The stepwise GRU: torch's layer, and the formula of Ba et al., are the oracles."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtl.layers import StepwiseGRU

D, H = 3, 5
LENGTHS = [6, 2, 4]


def text() -> tuple[Tensor, Tensor, tuple[Tensor]]:
    mask = torch.arange(6) < torch.tensor(LENGTHS).unsqueeze(1)
    return torch.randn(3, 6, D).double(), mask, (torch.randn(1, 3, H).double(),)


def cell_of(gru: nn.Module) -> nn.GRUCell:
    cell = nn.GRUCell(D, H).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in gru.state_dict().items()})
    return cell


def test_without_options_it_equals_torch_with_the_same_weights() -> None:
    torchs, ours = nn.GRU(D, H, batch_first=True).double(), StepwiseGRU(D, H).double()
    ours.load_state_dict(torchs.state_dict())
    x, mask, start = text()
    pack = pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    expected, end = torchs(pack, start[0])
    padded, _ = pad_packed_sequence(expected, batch_first=True)
    output, found = ours(x, start, mask)
    torch.testing.assert_close(found, (end,))
    torch.testing.assert_close(output * mask.unsqueeze(-1), padded)
    gradients = [
        torch.autograd.grad(y.pow(2).sum(), list(layer.parameters()))
        for y, layer in ((output * mask.unsqueeze(-1), ours), (padded, torchs))
    ]
    torch.testing.assert_close(*gradients)


def normalised(x: Tensor, gain: Tensor) -> Tensor:
    """The formula of Ba et al. (2016), equation 4."""
    mean = x.mean(-1, keepdim=True)
    return gain * (x - mean) / ((x - mean).square().mean(-1, keepdim=True) + 1e-5).sqrt()


def test_layer_norm_follows_the_formula() -> None:
    gru = StepwiseGRU(D, H, layer_norm=True).double()
    for parameter in gru.parameters():
        nn.init.uniform_(parameter, -1, 1)
    p, (x, _, start) = dict(gru.named_parameters()), text()
    h, expected = start[0][0], []
    w, u = p["weight_ih_l0"], p["weight_hh_l0"]
    b, c = p["bias_ih_l0"], p["bias_hh_l0"]
    for t in range(6):
        gates = normalised(x[:, t] @ w[: 2 * H].T, p["norm_input.weight"])
        gates = gates + normalised(h @ u[: 2 * H].T, p["norm_hidden.weight"])
        r, z = torch.sigmoid(gates + b[: 2 * H] + c[: 2 * H]).split(H, dim=1)
        given = normalised(x[:, t] @ w[2 * H :].T, p["norm_input_new.weight"]) + b[2 * H :]
        inner = normalised(h @ u[2 * H :].T, p["norm_hidden_new.weight"]) + c[2 * H :]
        h = (1 - z) * torch.tanh(given + r * inner) + z * h
        expected.append(h)
    torch.testing.assert_close(gru(x, start)[0], torch.stack(expected, 1))


def test_in_evaluation_zoneout_takes_the_average() -> None:
    gru = StepwiseGRU(D, H, zoneout=0.3).double().eval()
    cell, (x, _, start) = cell_of(gru), text()
    h = start[0][0]
    for t in range(6):
        h = 0.3 * h + 0.7 * cell(x[:, t], h)
    torch.testing.assert_close(gru(x, start)[1], (h[None],))


def test_zoneout_keeps_or_replaces_each_unit() -> None:
    gru = StepwiseGRU(D, 300, zoneout=0.3)
    h, _ = gru(torch.randn(1, 9, D))
    kept = h[:, 1:] == h[:, :-1]
    assert 0.25 < kept.double().mean() < 0.35
    assert not kept.all(1).any()


def test_recurrent_dropout_hides_the_same_units_at_all_tokens() -> None:
    gru, (x, _, start) = StepwiseGRU(D, H, recurrent_dropout=0.4).double(), text()
    torch.manual_seed(3)
    found, _ = gru(x, start)
    torch.manual_seed(3)
    kept = nn.functional.dropout(torch.ones(3, H).double(), 0.4)
    h, expected = start[0][0], []
    for t in range(6):
        given = x[:, t] @ gru.weight_ih_l0.T + gru.bias_ih_l0
        inner = (h * kept) @ gru.weight_hh_l0.T + gru.bias_hh_l0
        (a, b, c), (d, e, f) = given.chunk(3, dim=1), inner.chunk(3, dim=1)
        z = torch.sigmoid(b + e)
        h = (1 - z) * torch.tanh(c + torch.sigmoid(a + d) * f) + z * h
        expected.append(h)
    assert 0 < (kept == 0).sum() < kept.numel()
    torch.testing.assert_close(found, torch.stack(expected, 1))


def test_dropping_the_update_loses_no_memory() -> None:
    gru, start = StepwiseGRU(D, 300, update_dropout=0.4), (torch.randn(1, 2, 300),)
    x, h = torch.randn(2, 1, D), start[0][0]
    given = x[:, 0] @ gru.weight_ih_l0.T + gru.bias_ih_l0
    inner = h @ gru.weight_hh_l0.T + gru.bias_hh_l0
    (a, b, c), (d, e, f) = given.chunk(3, dim=1), inner.chunk(3, dim=1)
    z = torch.sigmoid(b + e)
    update = (1 - z) * torch.tanh(c + torch.sigmoid(a + d) * f) / 0.6
    added = gru(x, start)[1][0][0] - z * h
    dropped = added.abs() < 1e-6
    assert 0.3 < dropped.float().mean() < 0.5
    torch.testing.assert_close(added[~dropped], update[~dropped], rtol=1e-4, atol=1e-5)

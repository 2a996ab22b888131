"""The stepwise LSTM: torch's layer and cell, and the formula of Ba et al., are the oracles."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtl.layers import StepwiseLSTM

D, H = 3, 5
LENGTHS = [6, 2, 4]


def text() -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    mask = torch.arange(6) < torch.tensor(LENGTHS).unsqueeze(1)
    x = torch.randn(3, 6, D).double()
    return x, mask, (torch.randn(1, 3, H).double(), torch.randn(1, 3, H).double())


def cell_of(lstm: nn.Module) -> nn.LSTMCell:
    cell = nn.LSTMCell(D, H).double()
    weights = {k.removesuffix("_l0"): v for k, v in lstm.state_dict().items()}
    cell.load_state_dict(weights)
    return cell


def test_without_options_it_equals_torch_with_the_same_weights() -> None:
    torchs = nn.LSTM(D, H, batch_first=True).double()
    ours = StepwiseLSTM(D, H).double()
    ours.load_state_dict(torchs.state_dict())
    x, _, start = text()
    for given in [(x,), (x, start)]:
        torch.testing.assert_close(ours(*given), torchs(*given))
        found, expected = (
            torch.autograd.grad(lstm(*given)[0].pow(2).sum(), list(lstm.parameters()))
            for lstm in (ours, torchs)
        )
        torch.testing.assert_close(found, expected)


def test_it_starts_in_the_range_of_torch() -> None:
    for name, weight in StepwiseLSTM(D, 400).named_parameters():
        assert 0.9 / 20 < weight.abs().max() <= 1 / 20, name


def test_the_state_after_the_text_is_that_of_packed_sequences() -> None:
    torchs = nn.LSTM(D, H, batch_first=True).double()
    ours = StepwiseLSTM(D, H).double()
    ours.load_state_dict(torchs.state_dict())
    x, mask, start = text()
    pack = pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    expected, end = torchs(pack, start)
    output, found = ours(x, start, mask)
    torch.testing.assert_close(found, end)
    padded, _ = pad_packed_sequence(expected, batch_first=True)
    torch.testing.assert_close(output * mask.unsqueeze(-1), padded)


def normalised(x: Tensor, gain: Tensor) -> Tensor:
    """The formula of Ba et al. (2016), equation 4."""
    mean = x.mean(-1, keepdim=True)
    return gain * (x - mean) / ((x - mean).square().mean(-1, keepdim=True) + 1e-5).sqrt()


def test_layer_norm_follows_the_formula() -> None:
    lstm = StepwiseLSTM(D, H, layer_norm=True).double()
    for parameter in lstm.parameters():
        nn.init.uniform_(parameter, -1, 1)
    p, (x, _, (h0, c0)) = dict(lstm.named_parameters()), text()
    h, c, expected = h0[0], c0[0], []
    for t in range(6):
        gates = normalised(x[:, t] @ p["weight_ih_l0"].T, p["norm_input.weight"])
        gates = gates + normalised(h @ p["weight_hh_l0"].T, p["norm_hidden.weight"])
        i, f, g, o = (gates + p["bias_ih_l0"] + p["bias_hh_l0"]).split(H, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        cell = normalised(c, p["norm_cell.weight"]) + p["norm_cell.bias"]
        h = torch.sigmoid(o) * torch.tanh(cell)
        expected.append(h)
    torch.testing.assert_close(lstm(x, (h0, c0)), (torch.stack(expected, 1), (h[None], c[None])))


def test_zoneout_keeps_or_replaces_each_unit() -> None:
    lstm, cell = StepwiseLSTM(D, 500, zoneout=0.3), nn.LSTMCell(D, 500)
    weights = {k.removesuffix("_l0"): v for k, v in lstm.state_dict().items()}
    cell.load_state_dict(weights)
    x, start = torch.randn(4, 1, D), (torch.randn(1, 4, 500), torch.randn(1, 4, 500))
    new = cell(x[:, 0], (start[0][0], start[1][0]))
    kept = []
    for old, after, candidate in zip(start, lstm(x, start)[1], new, strict=True):
        kept.append(after == old)
        torch.testing.assert_close(after[~kept[-1]], candidate[None][~kept[-1]])
        assert 0.25 < kept[-1].double().mean() < 0.35
    assert not torch.equal(*kept)


def test_in_evaluation_zoneout_takes_the_average() -> None:
    lstm = StepwiseLSTM(D, H, zoneout=0.3).double().eval()
    cell, (x, _, (h0, c0)) = cell_of(lstm), text()
    h, c = h0[0], c0[0]
    for t in range(6):
        new_h, new_c = cell(x[:, t], (h, c))
        h, c = 0.3 * h + 0.7 * new_h, 0.3 * c + 0.7 * new_c
    torch.testing.assert_close(lstm(x, (h0, c0))[1], (h[None], c[None]))


def test_zoneout_draws_anew_at_every_token() -> None:
    lstm = StepwiseLSTM(D, 200, zoneout=0.5)
    h, _ = lstm(torch.randn(1, 9, D))
    kept = h[:, 1:] == h[:, :-1]
    assert 0.4 < kept.double().mean() < 0.6
    assert kept.all(1).double().mean() < 0.03


def test_zoneout_may_differ_for_hidden_and_cell_state() -> None:
    lstm = StepwiseLSTM(D, H, zoneout=0.5, zoneout_hidden=0.05).double().eval()
    cell, (x, _, (h0, c0)) = cell_of(lstm), text()
    h, c = h0[0], c0[0]
    for t in range(6):
        new_h, new_c = cell(x[:, t], (h, c))
        h, c = 0.05 * h + 0.95 * new_h, 0.5 * c + 0.5 * new_c
    torch.testing.assert_close(lstm(x, (h0, c0))[1], (h[None], c[None]))


def test_each_rate_of_zoneout_acts_on_its_own_part() -> None:
    x, start = torch.randn(4, 1, D), (torch.randn(1, 4, 200), torch.randn(1, 4, 200))
    for of_cell, of_hidden, expected in ((0.0, 0.5, [True, False]), (0.5, 0.0, [False, True])):
        lstm = StepwiseLSTM(D, 200, zoneout=of_cell, zoneout_hidden=of_hidden)
        after = lstm(x, start)[1]
        kept = [bool((new == old).any()) for new, old in zip(after, start, strict=True)]
        assert kept == expected


def test_recurrent_dropout_hides_the_same_units_from_the_recurrent_matrix_at_all_tokens() -> None:
    lstm = StepwiseLSTM(D, H, recurrent_dropout=0.4).double()
    cell, (x, _, (h0, c0)) = cell_of(lstm), text()
    torch.manual_seed(3)
    found, _ = lstm(x, (h0, c0))
    torch.manual_seed(3)
    kept = nn.functional.dropout(torch.ones(3, H).double(), 0.4)
    h, c, expected = h0[0], c0[0], []
    for t in range(6):
        h, c = cell(x[:, t], (h * kept, c))
        expected.append(h)
    assert 0 < (kept == 0).sum() < kept.numel()
    torch.testing.assert_close(found, torch.stack(expected, 1))


def test_dropping_the_update_loses_no_memory() -> None:
    lstm = StepwiseLSTM(D, 300, update_dropout=0.4)
    start = torch.randn(1, 2, 300), torch.randn(1, 2, 300)
    x = torch.randn(2, 1, D)
    gates = x[:, 0] @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
    i, f, g, _ = (gates + start[0][0] @ lstm.weight_hh_l0.T).chunk(4, dim=1)
    memory = (f.sigmoid() * start[1][0]).detach()
    update = (i.sigmoid() * g.tanh()).detach() / 0.6
    added = lstm(x, start)[1][1][0].detach() - memory
    dropped = added.abs() < 1e-6
    assert 0.3 < dropped.float().mean() < 0.5
    torch.testing.assert_close(added[~dropped], update[~dropped])


def test_both_dropouts_act_in_training_alone() -> None:
    lstm = StepwiseLSTM(D, H, recurrent_dropout=0.4, update_dropout=0.4).double().eval()
    plain, (x, _, start) = StepwiseLSTM(D, H).double(), text()
    plain.load_state_dict(lstm.state_dict())
    torch.testing.assert_close(lstm(x, start), plain(x, start))

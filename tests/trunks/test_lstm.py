"""torch.nn.LSTM on packed sequences is the oracle."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtl.trunks import LSTMTrunk

LENGTHS = [6, 1, 4, 3]
WIDTH, HIDDEN = 5, 4


def made(**options: Any) -> LSTMTrunk:
    trunk = LSTMTrunk(WIDTH, num_layers=2, hidden_size=HIDDEN, **options).double().eval()
    for parameter in trunk.parameters():
        nn.init.uniform_(parameter, -0.7, 0.7)
    return trunk


def text() -> tuple[Tensor, Tensor]:
    mask = torch.arange(6) < torch.tensor(LENGTHS).unsqueeze(1)
    return torch.randn(4, 6, WIDTH).double() * mask.unsqueeze(-1), mask


def packed(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """What torch makes of the sentences when it is told their lengths."""
    pack = pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(pack)[0], batch_first=True)[0]


def torch_lstm(trunk: LSTMTrunk, directions: list[int], **options: Any) -> nn.LSTM:
    """Torch's LSTM of two layers with the weights of some directions of the trunk."""
    lstm = nn.LSTM(WIDTH, HIDDEN, num_layers=2, batch_first=True, **options).double()
    suffixes = ["", "_reverse"]
    weights = {
        f"{name[:-1]}{i}{suffixes[place]}": value
        for i, layer in enumerate(trunk.layers)
        for place, direction in enumerate(directions)
        for name, value in (layer.ahead, layer.back)[direction].lstm.state_dict().items()
    }
    lstm.load_state_dict(weights)
    return lstm


def reversed_sentences(x: Tensor) -> Tensor:
    """The real tokens of each sentence from last to first."""
    flipped = x.clone()
    for row, length in enumerate(LENGTHS):
        flipped[row, :length] = x[row, :length].flip(0)
    return flipped


def test_one_direction_equals_torch() -> None:
    trunk, (x, mask) = made(bidirectional=False), text()
    expected = packed(torch_lstm(trunk, [0]), x)
    torch.testing.assert_close(trunk(x, mask)[0][-1], expected)


def test_interleaved_directions_equal_torch() -> None:
    trunk, (x, mask) = made(bidirectional="interleaved"), text()
    expected = packed(torch_lstm(trunk, [0, 1], bidirectional=True), x)
    torch.testing.assert_close(trunk(x, mask)[0][-1], expected)


def test_two_stacks_equal_two_of_torch_one_on_reversed_sentences() -> None:
    trunk, (x, mask) = made(bidirectional=True), text()
    ahead = packed(torch_lstm(trunk, [0]), x)
    back = reversed_sentences(packed(torch_lstm(trunk, [1]), reversed_sentences(x)))
    torch.testing.assert_close(trunk(x, mask)[0][-1], torch.cat([ahead, back], dim=2))


@pytest.mark.parametrize("bidirectional", [True, False, "interleaved"])
def test_gradients_equal_those_of_packed_sequences(bidirectional: Any) -> None:
    trunk, (x, mask) = made(bidirectional=bidirectional), text()
    fast = [p.clone() for p in gradients(trunk, trunk(x, mask)[0][-1])]
    state = trunk.initial_state(len(x))  # a state brings the packed way
    slow = gradients(trunk, trunk(x, mask, state)[0][-1])
    torch.testing.assert_close(fast, slow)


def gradients(trunk: LSTMTrunk, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(y.pow(2).sum(), list(trunk.parameters())))


def test_forget_gates_start_with_bias_one() -> None:
    direction = LSTMTrunk(WIDTH, hidden_size=HIDDEN).layers[0].ahead.lstm
    bias = direction.bias_ih_l0 + direction.bias_hh_l0
    assert bias.tolist() == [0] * HIDDEN + [1] * HIDDEN + [0] * 2 * HIDDEN


def test_recurrent_matrices_start_orthogonal() -> None:
    weight = LSTMTrunk(WIDTH, hidden_size=HIDDEN).layers[1].back.lstm.weight_hh_l0
    torch.testing.assert_close(weight.T @ weight, torch.eye(HIDDEN))


def test_a_learned_start_is_the_state_before_the_first_token() -> None:
    trunk, (x, mask) = made(bidirectional=False, learned_start=True), text()
    h, c = trunk.initial_state(1)[0]
    assert torch.equal(torch.cat([h, c]), trunk.layers[0].ahead.start)
    cell = nn.LSTMCell(WIDTH, HIDDEN).double()
    weights = trunk.layers[0].ahead.lstm.state_dict().items()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in weights})
    torch.testing.assert_close(trunk(x, mask)[0][1][:1, 0], cell(x[:1, 0], (h, c))[0])


def test_without_a_learned_start_there_are_no_such_parameters() -> None:
    plain, learned = LSTMTrunk(WIDTH), LSTMTrunk(WIDTH, learned_start=True)
    added = set(learned.state_dict()) - set(plain.state_dict())
    assert added == {f"layers.{i}.{d}.start" for i in (0, 1) for d in ("ahead", "back")}


def test_a_piece_without_tokens_leaves_the_state_as_it_is() -> None:
    trunk, (x, mask) = made(bidirectional=False), text()
    state = trunk(x, mask, trunk.initial_state(len(x)))[1]
    layers, after = trunk(x, mask & False, state)
    torch.testing.assert_close(after, state)
    assert not layers[-1].any()

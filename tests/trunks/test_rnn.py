"""torch.nn.LSTM and torch.nn.GRU on packed sequences are the oracles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtl.trunks import GRUTrunk, LSTMTrunk

LENGTHS = [6, 1, 4, 3]
WIDTH, HIDDEN = 5, 4
KINDS = {"lstm": (LSTMTrunk, nn.LSTM), "gru": (GRUTrunk, nn.GRU)}
kinds = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, **options: Any) -> Any:
    trunk = KINDS[kind][0](WIDTH, num_layers=2, hidden_size=HIDDEN, **options).double().eval()
    for parameter in trunk.parameters():
        nn.init.uniform_(parameter, -0.7, 0.7)
    return trunk


def text() -> tuple[Tensor, Tensor]:
    mask = torch.arange(6) < torch.tensor(LENGTHS).unsqueeze(1)
    return torch.randn(4, 6, WIDTH).double() * mask.unsqueeze(-1), mask


def packed(rnn: nn.RNNBase, x: Tensor) -> Tensor:
    """The outputs of torch for packed sentences."""
    pack = pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(rnn(pack)[0], batch_first=True)[0]


def torch_rnn(kind: str, trunk: Any, directions: list[int], **options: Any) -> nn.RNNBase:
    """Torch's layers, two of them, with the weights of some directions of the trunk."""
    rnn = KINDS[kind][1](WIDTH, HIDDEN, num_layers=2, batch_first=True, **options).double()
    suffixes = ["", "_reverse"]
    weights = {
        f"{name[:-1]}{i}{suffixes[place]}": value
        for i, layer in enumerate(trunk.layers)
        for place, direction in enumerate(directions)
        for name, value in (layer.ahead, layer.back)[direction].rnn.state_dict().items()
    }
    rnn.load_state_dict(weights)
    return rnn


def reversed_sentences(x: Tensor) -> Tensor:
    """The real tokens of each sentence from last to first."""
    flipped = x.clone()
    for row, length in enumerate(LENGTHS):
        flipped[row, :length] = x[row, :length].flip(0)
    return flipped


def gradients(trunk: nn.Module, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(y.pow(2).sum(), list(trunk.parameters())))


@kinds
def test_one_direction_equals_torch(kind: str) -> None:
    trunk, (x, mask) = made(kind, bidirectional=False), text()
    expected = packed(torch_rnn(kind, trunk, [0]), x)
    torch.testing.assert_close(trunk(x, mask)[0][-1], expected)


@kinds
def test_interleaved_directions_equal_torch(kind: str) -> None:
    trunk, (x, mask) = made(kind, bidirectional="interleaved"), text()
    expected = packed(torch_rnn(kind, trunk, [0, 1], bidirectional=True), x)
    torch.testing.assert_close(trunk(x, mask)[0][-1], expected)


@kinds
def test_two_stacks_equal_two_of_torch_one_on_reversed_sentences(kind: str) -> None:
    trunk, (x, mask) = made(kind, bidirectional=True), text()
    ahead = packed(torch_rnn(kind, trunk, [0]), x)
    back = reversed_sentences(packed(torch_rnn(kind, trunk, [1]), reversed_sentences(x)))
    torch.testing.assert_close(trunk(x, mask)[0][-1], torch.cat([ahead, back], dim=2))


@pytest.mark.parametrize("bidirectional", [True, False, "interleaved"])
def test_gradients_equal_those_of_packed_sequences(bidirectional: Any) -> None:
    trunk, (x, mask) = made("lstm", bidirectional=bidirectional), text()
    fast = [p.clone() for p in gradients(trunk, trunk(x, mask)[0][-1])]
    state = trunk.initial_state(len(x))  # a state brings the packed way
    slow = gradients(trunk, trunk(x, mask, state)[0][-1])
    torch.testing.assert_close(fast, slow)


@pytest.mark.parametrize(
    ("kind", "expected"), [("lstm", [0.0, 1.0, 0.0, 0.0]), ("gru", [-1.0, 0.0, 0.0])]
)
def test_an_lstm_starts_keeping_and_a_gru_without_resets(kind: str, expected: list[float]) -> None:
    rnn = KINDS[kind][0](WIDTH, hidden_size=HIDDEN).layers[0].ahead.rnn
    bias = rnn.bias_ih_l0 + rnn.bias_hh_l0
    assert bias.tolist() == [value for value in expected for _ in range(HIDDEN)]


@kinds
def test_recurrent_matrices_start_orthogonal(kind: str) -> None:
    weight = KINDS[kind][0](WIDTH, hidden_size=HIDDEN).layers[1].back.rnn.weight_hh_l0
    torch.testing.assert_close(weight.T @ weight, torch.eye(HIDDEN))


def test_a_learned_start_is_the_state_before_the_first_token() -> None:
    trunk, (x, mask) = made("lstm", bidirectional=False, learned_start=True), text()
    h, c = trunk.initial_state(1)[0]
    assert torch.equal(torch.cat([h, c]), trunk.layers[0].ahead.start)
    cell = nn.LSTMCell(WIDTH, HIDDEN).double()
    weights = trunk.layers[0].ahead.rnn.state_dict().items()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in weights})
    torch.testing.assert_close(trunk(x, mask)[0][1][:1, 0], cell(x[:1, 0], (h, c))[0])


def test_a_learned_start_of_a_gru_is_one_vector() -> None:
    trunk, (x, mask) = made("gru", bidirectional=False, learned_start=True), text()
    (h,) = trunk.initial_state(1)[0]
    assert torch.equal(h, trunk.layers[0].ahead.start)
    cell = nn.GRUCell(WIDTH, HIDDEN).double()
    weights = trunk.layers[0].ahead.rnn.state_dict().items()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in weights})
    torch.testing.assert_close(trunk(x, mask)[0][1][:1, 0], cell(x[:1, 0], h))


@kinds
def test_without_a_learned_start_there_are_no_such_parameters(kind: str) -> None:
    plain, learned = made(kind), made(kind, learned_start=True)
    added = set(learned.state_dict()) - set(plain.state_dict())
    assert added == {f"layers.{i}.{d}.start" for i in (0, 1) for d in ("ahead", "back")}


@pytest.mark.parametrize(
    ("kind", "more"), [("lstm", {}), ("lstm", {"layer_norm": True}), ("gru", {})]
)
def test_a_piece_without_tokens_leaves_the_state_as_it_is(kind: str, more: Any) -> None:
    trunk, (x, mask) = made(kind, bidirectional=False, **more), text()
    state = trunk(x, mask, trunk.initial_state(len(x)))[1]
    layers, after = trunk(x, mask & False, state)
    torch.testing.assert_close(after, state)
    assert not layers[-1].any()


@kinds
def test_weight_drop_equals_torch_with_masked_weights(kind: str) -> None:
    options = {"bidirectional": False, "weight_drop": 0.5, "dropout": 0.0}
    trunk, (x, mask) = made(kind, **options).train(), text()
    expected = torch_rnn(kind, trunk, [0])
    torch.manual_seed(3)
    found = trunk(x, mask)[0][-1]
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in (expected.weight_hh_l0, expected.weight_hh_l1):
            weight.copy_(functional.dropout(weight, 0.5))
    torch.testing.assert_close(found, packed(expected, x))
    assert not torch.equal(found, trunk(x, mask)[0][-1])


@kinds
def test_gradients_reach_the_weights_that_were_not_dropped_and_no_other(kind: str) -> None:
    trunk, (x, mask) = made(kind, weight_drop=0.5, dropout=0.0).train(), text()
    weight = trunk.layers[0].ahead.rnn.weight_hh_l0
    torch.manual_seed(3)
    trunk(x, mask)[0][1][..., :HIDDEN].pow(2).sum().backward()
    torch.manual_seed(3)
    assert weight.is_leaf
    assert torch.equal(weight.grad != 0, functional.dropout(torch.ones_like(weight), 0.5) != 0)


@kinds
def test_weight_drop_changes_neither_evaluation_nor_the_names_of_weights(kind: str) -> None:
    dropping, plain, (x, mask) = made(kind, weight_drop=0.5), made(kind), text()
    plain.load_state_dict(dropping.state_dict())
    dropping.train()(x, mask)
    assert torch.equal(dropping.eval()(x, mask)[0][-1], plain(x, mask)[0][-1])
    assert list(dropping.state_dict()) == list(plain.state_dict())


@kinds
def test_weight_drop_runs_on_the_fused_layer(kind: str) -> None:
    trunk, (x, mask) = made(kind, bidirectional=False, weight_drop=0.5).train(), text()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        trunk(x, mask)
    calls = {event.key: event.count for event in profile.key_averages()}
    assert calls[f"aten::{kind}"] == 2


def test_weight_drop_acts_on_texts_that_come_in_pieces_too() -> None:
    trunk, (x, mask) = made("lstm", bidirectional=False, weight_drop=0.5, dropout=0.0), text()
    trunk.train()
    torch.manual_seed(3)
    carried = trunk(x, mask, trunk.initial_state(len(x)))[0][-1]  # packed
    torch.manual_seed(3)
    torch.testing.assert_close(carried, trunk(x, mask)[0][-1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@kinds
def test_weight_drop_on_a_gpu_takes_several_passes_before_gradients(kind: str) -> None:
    trunk, (x, mask) = made(kind, weight_drop=0.5).cuda().train(), text()
    first, second = (trunk(x.cuda(), mask.cuda())[0][-1] for _ in range(2))
    assert not torch.equal(first, second)
    (first + second).pow(2).sum().backward()
    assert trunk.layers[0].ahead.rnn.weight_hh_l0.grad.any()

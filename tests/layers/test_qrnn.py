"""The QRNN layer: cutting, padding, neighbours, and what the window sees."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from mtl.errors import OptionError
from mtl.layers import QRNN, QRNNLayer

VARIANTS = list(product((1, 2, 3, 6), ("f", "fo", "ifo")))
variants = pytest.mark.parametrize(("window", "pooling"), VARIANTS)


@variants
def test_a_text_cut_in_pieces_gives_what_the_whole_gives(window: int, pooling: str) -> None:
    qrnn = QRNN(4, 5, 2, window=window, upper_window=3, pooling=pooling)
    x = torch.randn(3, 9, 4)
    whole, end = qrnn(x)
    first, state = qrnn(x[:, :4])
    second, state = qrnn(x[:, 4:6], state)
    third, cut_end = qrnn(x[:, 6:], state)
    torch.testing.assert_close(torch.cat([first, second, third], dim=1), whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(cut_end, end, rtol=0, atol=1e-6)


@variants
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_changes_nothing(window: int, pooling: str, reverse: bool) -> None:
    layer = QRNNLayer(4, 5, window=window, pooling=pooling, reverse=reverse)
    x = torch.randn(2, 8, 4)
    lengths = torch.tensor([8, 3])
    mask = torch.arange(8) < lengths[:, None]
    padded, _ = layer(x, mask=mask)
    alone, _ = layer(x[1:, :3])
    torch.testing.assert_close(padded[1:, :3], alone, rtol=0, atol=1e-6)
    assert padded[1, 3:].eq(0).all()


@variants
def test_reverse_is_the_forward_layer_on_the_reversed_text(window: int, pooling: str) -> None:
    forwards = QRNNLayer(4, 5, window=window, pooling=pooling)
    backwards = QRNNLayer(4, 5, window=window, pooling=pooling, reverse=True)
    backwards.load_state_dict(forwards.state_dict())
    x = torch.randn(2, 7, 4)
    torch.testing.assert_close(backwards(x)[0], forwards(x.flip(1))[0].flip(1))


@pytest.mark.parametrize(("window", "seen"), [(1, {3}), (2, {2, 3}), (3, {1, 2, 3})])
def test_gates_see_as_many_tokens_as_the_window(window: int, seen: set[int]) -> None:
    layer = QRNNLayer(4, 5, window=window)
    with torch.no_grad():
        layer.bias[
            5:10
        ] = -30  # nothing is kept: the output depends on the gates of its own token only
    x = torch.randn(1, 6, 4, requires_grad=True)
    layer(x)[0][0, 3].sum().backward()
    touched = (x.grad.abs().sum(2).squeeze(0) > 1e-6).nonzero().flatten().tolist()
    assert set(touched) == seen


@variants
def test_both_directions_at_once_are_the_two_apart(window: int, pooling: str) -> None:
    both = QRNNLayer(4, 5, window=window, pooling=pooling, bidirectional=True)
    apart = [QRNNLayer(4, 5, window=window, pooling=pooling, reverse=r) for r in (False, True)]
    for way, layer in enumerate(apart):
        halves = {name: value.chunk(2, dim=-1)[way] for name, value in both.state_dict().items()}
        layer.load_state_dict(halves)
    x, mask = torch.randn(3, 7, 4), torch.arange(7) < torch.tensor([[7], [4], [0]])
    expected = torch.cat([layer(x, mask=mask)[0] for layer in apart], dim=2)
    torch.testing.assert_close(both(x, mask=mask)[0], expected)
    torch.testing.assert_close(both(torch.cat([x, x], dim=2), mask=mask)[0], expected)


def test_weight_drop_leaves_out_weights_in_training_alone() -> None:
    layer, x = QRNNLayer(4, 50, weight_drop=0.5), torch.randn(1, 3, 4)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer(x)[0].sum().backward()
    assert 0.3 < (layer.weight.grad[..., :50] == 0).float().mean() < 0.7
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


def test_zoneout_keeps_units_in_training_and_not_in_evaluation() -> None:
    layer = QRNNLayer(4, 50, pooling="f", zoneout=0.5)
    x = torch.randn(1, 20, 4)
    h, _ = layer(x)
    kept = (h[:, 1:] == h[:, :-1]).float().mean()
    assert 0.4 < kept < 0.6
    layer.eval()
    h, _ = layer(x)
    assert not (h[:, 1:] == h[:, :-1]).any()


def test_bidirectional_output_is_twice_as_wide() -> None:
    out, state = QRNN(4, 5, 2, bidirectional=True)(torch.randn(3, 6, 4))
    assert out.shape == (3, 6, 10)
    assert len(state) == 2


def test_windows_of_later_layers_are_their_own() -> None:
    qrnn = QRNN(4, 5, 3, window=6, upper_window=2)
    assert [layer.weight.shape[:2] for layer in qrnn.layers] == [(6, 4), (2, 5), (2, 5)]


def test_a_window_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        QRNNLayer(4, 5, window=0)


def blocks(layer: QRNNLayer, x: torch.Tensor) -> list[torch.Tensor]:
    """The gates of a layer in one direction, block by block, by the definition of its window."""
    rows = torch.cat([x.new_zeros(len(x), layer.window - 1, x.shape[2]), x], dim=1)
    total = sum(
        rows[:, layer.window - 1 - tap : rows.shape[1] - tap] @ layer.weight[tap]
        for tap in range(layer.window)
    )
    if layer.norm is not None:
        mean = total.mean(-1, keepdim=True)
        variance = (total - mean).square().mean(-1, keepdim=True)
        total = layer.norm * (total - mean) / (variance + 1e-5).sqrt()
    return list((total + layer.bias).split(layer.hidden_size, dim=2))


def shaken_layer(width: int, **options: object) -> QRNNLayer:
    layer = QRNNLayer(width, 5, **options).double()
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    return layer


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("pooling", ["f", "fo", "ifo"])
def test_layer_norm_normalises_the_products_of_a_token(window: int, pooling: str) -> None:
    layer = shaken_layer(4, window=window, pooling=pooling, layer_norm=True)
    x = torch.randn(2, 6, 4).double()
    z, f, *others = blocks(layer, x)
    c = x.new_zeros(2, 5)
    expected = []
    for t in range(6):
        keep = f[:, t].sigmoid()
        add = others[1][:, t].sigmoid() if pooling == "ifo" else 1 - keep
        c = keep * c + add * z[:, t].tanh()
        expected.append(c if pooling == "f" else others[0][:, t].sigmoid() * c)
    torch.testing.assert_close(layer(x)[0], torch.stack(expected, 1))


@pytest.mark.parametrize("width", [4, 5])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_highway_mixes_state_and_input(width: int, layer_norm: bool) -> None:
    layer = shaken_layer(width, window=2, highway=True, layer_norm=layer_norm)
    assert (layer.skip is None) == (width == 5)
    x = torch.randn(2, 6, width).double()
    skipped = x if layer.skip is None else x @ layer.skip
    z, f, o = blocks(layer, x)
    c = x.new_zeros(2, 5)
    for t in range(6):
        c = f[:, t].sigmoid() * c + (1 - f[:, t].sigmoid()) * z[:, t].tanh()
        gate = o[:, t].sigmoid()
        torch.testing.assert_close(layer(x)[0][:, t], gate * c + (1 - gate) * skipped[:, t])


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"highway": True}])
@pytest.mark.parametrize("width", [4, 5])
def test_both_directions_with_options_are_the_two_apart(width: int, options: dict) -> None:
    both = shaken_layer(width, window=3, bidirectional=True, **options)
    apart = [shaken_layer(width, window=3, reverse=r, **options) for r in (False, True)]
    for way, layer in enumerate(apart):
        halves = {name: value.chunk(2, dim=-1)[way] for name, value in both.state_dict().items()}
        layer.load_state_dict(halves)
    x, mask = torch.randn(3, 7, width).double(), torch.arange(7) < torch.tensor([[7], [4], [0]])
    expected = torch.cat([layer(x, mask=mask)[0] for layer in apart], dim=2)
    torch.testing.assert_close(both(x, mask=mask)[0], expected)
    torch.testing.assert_close(both(torch.cat([x, x], dim=2), mask=mask)[0], expected)


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"highway": True, "layer_norm": True}])
def test_a_cut_text_gives_the_whole_with_options_too(options: dict) -> None:
    layer, x = shaken_layer(4, window=3, **options), torch.randn(2, 7, 4).double()
    whole, end = layer(x)
    first, state = layer(x[:, :1])
    second, state = layer(x[:, 1:5], state)
    third, cut_end = layer(x[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second, third], dim=1), whole)
    torch.testing.assert_close(cut_end, end)


def test_a_highway_needs_an_output_gate() -> None:
    with pytest.raises(OptionError, match='highway: expected the pooling "fo", got "ifo"'):
        QRNNLayer(4, 5, pooling="ifo", highway=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "foi"}, "pooling: expected one of"),
        ({"zoneout": 1.0}, r"zoneout: expected a probability in \[0, 1\), got 1.0"),
        ({"weight_drop": -0.5}, "weight_drop: expected a probability"),
        ({"dropout": 2.0}, "p: expected a probability"),
        ({"num_layers": 0}, "num_layers: expected at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QRNN(4, 5, **options)


MASK = torch.tensor([[True, True, False]])


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((3, 4), {}, r"x: expected \[B, T, 4\], got \[3, 4\]"),
        ((1, 3, 5), {}, r"x: expected \[B, T, 4\], got \[1, 3, 5\]"),
        ((1, 3, 4), {"state": MASK}, "state: expected one entry per layer, got a tensor"),
        ((1, 3, 4), {"mask": MASK.float()}, r"mask: expected bool \[1, 3\], got torch.float32"),
        ((1, 2, 4), {"mask": MASK}, r"mask: expected bool \[1, 2\], got torch.bool \[1, 3\]"),
        ((1, 3, 4), {"mask": MASK.flip(1)}, "mask: expected the real tokens of a sentence first"),
    ],
)
def test_inputs_of_other_forms_are_refused(
    shape: tuple[int, ...], given: dict[str, torch.Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        QRNN(4, 5, 2)(torch.randn(shape), **given)


def test_it_prints_its_sizes() -> None:
    assert "(0): QRNNLayer(4, 5, window=2, pooling=fo, " in repr(QRNN(4, 5, window=2))

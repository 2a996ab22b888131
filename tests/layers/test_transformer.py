"""The transformer layer, compared with the layer of torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtl.layers import TransformerLayer
from mtl.layers.transformer import RelativePositionBias
from tests.contracts.variants import prefix_mask, shaken

OURS_BY_THEIRS = {
    "self_attn.in_proj_": "project.",
    "self_attn.out_proj.": "output.",
    "norm1.": "attention_norm.",
    "norm2.": "norm.",
    "linear1.": "widen.",
    "linear2.": "narrow.",
}


def theirs(layer: TransformerLayer, activation: str) -> nn.TransformerEncoderLayer:
    """The layer of torch with the same weights."""
    other = nn.TransformerEncoderLayer(
        6, 3, 5, activation=activation, layer_norm_eps=0.1, batch_first=True
    )
    weights = layer.state_dict()
    with torch.no_grad():
        for name, value in other.named_parameters():
            (start,) = [start for start in OURS_BY_THEIRS if name.startswith(start)]
            value.copy_(weights[name.replace(start, OURS_BY_THEIRS[start])])
    return other.double().train()  # in evaluation it takes another way, of its own numbers


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_it_computes_what_the_layer_of_torch_does(activation: str) -> None:
    options = {"num_heads": 3, "feed_forward": 5, "epsilon": 0.1, "dropout": 0.0}
    layer = shaken(TransformerLayer(6, activation=activation, **options))
    other = theirs(layer, activation)
    for part in other.modules():
        if isinstance(part, nn.Dropout | nn.MultiheadAttention):
            setattr(part, "p" if isinstance(part, nn.Dropout) else "dropout", 0.0)
    x, mask = torch.randn(3, 4, 6).double(), prefix_mask([4, 1, 3])
    expected: Tensor = other(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(layer(x, mask)[mask], expected[mask])


def bucket(distance: int) -> int:
    """The bucket by the definition: 8 exact ones per side, then 8 that grow to 128 tokens."""
    steps = abs(distance)
    side = 16 if distance > 0 else 0
    if steps < 8:
        return side + steps
    borders = [8 * 16 ** (n / 8) for n in range(8)]
    return side + 7 + sum(steps > border - 1e-9 for border in borders)


def test_relative_positions_have_the_bias_of_their_bucket() -> None:
    bias = RelativePositionBias(num_heads=3)
    found = bias(200)
    assert found.shape == (3, 200, 200)
    for query, key in [(0, 0), (5, 4), (4, 5), (9, 1), (0, 16), (0, 17), (199, 0), (3, 190)]:
        torch.testing.assert_close(found[:, query, key], bias.table.weight[bucket(key - query)])
    distances = torch.arange(-300, 301)
    assert bias.buckets(distances).tolist() == [bucket(n) for n in distances.tolist()]


def test_a_bias_is_added_to_the_attention_scores() -> None:
    layer = shaken(TransformerLayer(6, num_heads=3, feed_forward=5, dropout=0.0))
    x, mask = torch.randn(3, 4, 6).double(), prefix_mask([4, 1, 3])
    bias = torch.randn(3, 4, 4).double()
    queries, keys, values = (
        part.unflatten(2, (3, 2)).transpose(1, 2) for part in layer.project(x).chunk(3, 2)
    )
    scores = queries @ keys.transpose(2, 3) / 2**0.5 + bias
    weights = scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(3)
    expected = (weights @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer._attend(x, mask, bias)[mask], expected[mask])


def test_heads_share_the_width_evenly() -> None:
    with pytest.raises(ValueError, match="num_heads: expected a divisor of 6, got 4"):
        TransformerLayer(6, num_heads=4, feed_forward=5)

"""The transformer layer, compared with the layer of torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mtl.layers import TransformerLayer
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


def test_heads_share_the_width_evenly() -> None:
    with pytest.raises(ValueError, match="num_heads: expected a divisor of 6, got 4"):
        TransformerLayer(6, num_heads=4, feed_forward=5)

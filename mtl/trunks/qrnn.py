"""QRNN trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Unpack

import torch
from torch import Tensor, nn

from mtl.layers.qrnn import QRNNLayer, QRNNState
from mtl.ops.qrnn import COUNTS
from mtl.ops.rows import pool_rows
from mtl.options import PositiveInt, Probability, Requires, complete, refuse_idle
from mtl.trunks.directional import DirectionalTrunk, Recurrent, StackOptions


class _QRNNRecurrent(Recurrent):
    """A QRNN layer in one direction or both."""

    def __init__(self, layer: QRNNLayer) -> None:
        super().__init__()
        self.layer = layer

    def initial(self, batch_size: int) -> QRNNState:
        """Return the state of the forward direction before the first token."""
        return self.layer.initial_state(batch_size)

    def unit_weights(self) -> Tensor:
        """Return the weights that compute each unit of a direction, `[directions, N, H]`."""
        layer = self.layer
        weights = layer.weight.view(
            layer.weight.shape[:2].numel(), -1, COUNTS[layer.pooling], layer.hidden_size
        )  # [window · D, directions, G, H]
        return weights.transpose(0, 1).flatten(1, 2)

    def forward(
        self, x: Tensor, mask: Tensor, state: QRNNState | None
    ) -> tuple[Tensor, QRNNState | None]:
        """Return the outputs and, if a state was passed, the new state after the text."""
        output, end = self.layer(x, state, mask=mask)
        return output, None if state is None else end

    @property
    def has_products(self) -> bool:
        """Whether the gates are sums of products of the layer's own weights with the tokens."""
        layer = self.layer  # an exported layer is of another class
        plain = isinstance(layer, QRNNLayer) and layer.plain
        return plain and isinstance(layer.weight, nn.Parameter)

    def products(self, vectors: Tensor) -> Tensor:
        """Return the part of each tap of the window side by side, the bias in the first part."""
        first, *others = (vectors @ tap for tap in self.layer.weight)
        return torch.cat([first + self.layer.bias, *others], dim=1)

    def over_products(
        self, products: Tensor, ids: Tensor, lengths: Tensor, prepared: Any
    ) -> Tensor:
        """Return the outputs in evaluation; see `Recurrent.over_products`."""
        layer = self.layer
        return pool_rows(
            products,
            ids,
            lengths,
            layer.start,
            window=layer.window,
            pooling=layer.pooling,
            reverse=layer.reverse,
            bidirectional=layer.bidirectional,
        )


class QRNNTrunk(DirectionalTrunk):
    """Stacked quasi-recurrent layers (Bradbury et al. 2017), by default in both directions.

    Convolutions over time compute the gates of all tokens at once, and the recurrence contains no
    matrix product. Faster than an LSTM of the same width, especially for long sentences.

    Args:
        in_features: Width D of the token vectors.
        window: The number of tokens that the gates of the first layer read: each token and the ones
            before it, in reading order. Models of characters read more, such as 6 (Bradbury et al.
            2017).
        upper_window: The number of tokens that the gates of later layers read.
        pooling: The gates: forget ("f"), forget and output ("fo"), or also input ("ifo").
        zoneout: Probability that a unit keeps its state in a step of training (Krueger et al.
            2017).
        weight_drop: Probability that a weight of the products is dropped in a training step
            (Merity et al. 2017).
        learned_start: Whether the states before the first token are learned; else they are zero.
        layer_norm: Whether the products that become the gates are normalised (Ba et al. 2016).
        highway: Whether the output gate mixes the state with the layer's input, as in the simple
            recurrent unit (Lei et al. 2018).
    """

    beyond_shapes: ClassVar[tuple[str, ...]] = (*DirectionalTrunk.beyond_shapes, "highway")

    def __init__(
        self,
        in_features: int,
        *,
        window: PositiveInt = 2,
        upper_window: Annotated[PositiveInt, Requires("num_layers", least=2)] = 1,
        pooling: Literal["f", "fo", "ifo"] = "fo",
        zoneout: Probability = 0.0,
        weight_drop: Probability = 0.0,
        learned_start: bool = False,
        layer_norm: bool = False,
        highway: Annotated[bool, Requires("pooling", ("fo",))] = False,
        **stack: Unpack[StackOptions],
    ) -> None:
        stack = complete(StackOptions, stack)
        sizes = {"num_layers": stack["num_layers"], "upper_window": upper_window}
        refuse_idle(QRNNTrunk, {**sizes, "pooling": pooling, "highway": highway})
        both = bool(stack["bidirectional"])

        def make(layer: int, width: int, size: int, _: bool) -> Recurrent:
            return _QRNNRecurrent(
                QRNNLayer(
                    width,
                    size,
                    window=upper_window if layer else window,
                    pooling=pooling,
                    bidirectional=both,
                    zoneout=zoneout,
                    weight_drop=weight_drop,
                    learned_start=learned_start,
                    layer_norm=layer_norm,
                    highway=highway,
                )
            )

        super().__init__(in_features, make, **stack)

"""Convolutional trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, cast

from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.layers.conv import ConvActivation, ConvLayer
from mtl.options import (
    Bounds,
    LayerCount,
    PositiveInt,
    Probability,
    Requires,
    RunContext,
    refuse_idle,
)
from mtl.trunks.base import Sight, State, Trunk

Pieces = Annotated[int, Bounds(ge=2), Requires("activation", ("maxout",))]


class ConvTrunk(Trunk):
    """Stacked residual convolutions over windows of tokens, as in spaCy (Honnibal & Montani 2017).

    The fastest trunk to train on a CPU: a layer is one matrix product for all tokens. The
    layer adds to its input a function of each window, after layer normalisation. A stack of L
    layers reads L times `window` tokens on each side of a token, where an LSTM reads the whole
    sentence; scores may be lower. A linear layer comes first if the token vectors have another
    width than the layers.

    Args:
        in_features: Width D of the token vectors.
        num_layers: The number of layers.
        hidden_size: Width of every layer.
        window: The number of tokens that a layer reads on each side of a token.
        causal: Whether a layer reads the left side alone, as language models need it (Dauphin et
            al. 2017).
        activation: "maxout": the largest of several pieces. "gated": a linear unit times the
            sigmoid of another one (Dauphin et al. 2017; Gehring et al. 2017).
        pieces: The number of pieces of a unit.
        dropout: Probability of dropping a unit of the change that a layer adds to its input, the
            same for all tokens of a sentence.
        weight_norm: Whether the length and the direction of the weights of each piece or gate are
            separate parameters (Salimans & Kingma 2016), as in gated convolutions of Dauphin et al.
            (2017) and Gehring et al. (2017).
    """

    beyond_shapes = ("causal", "activation")

    def __init__(
        self,
        in_features: int,
        *,
        num_layers: LayerCount = 4,
        hidden_size: PositiveInt = 96,
        window: PositiveInt = 1,
        causal: bool = False,
        activation: ConvActivation = "maxout",
        pieces: Pieces = 3,
        dropout: Probability = 0.2,
        weight_norm: bool = False,
    ) -> None:
        refuse_idle(ConvTrunk, {"activation": activation, "pieces": pieces})
        super().__init__()
        self.sizes = [in_features] + [hidden_size] * num_layers
        self.widen: nn.Module = nn.Identity()
        if in_features != hidden_size:
            self.widen = nn.Linear(in_features, hidden_size)
        self.layers = nn.ModuleList(
            ConvLayer(
                hidden_size,
                window=window,
                causal=causal,
                activation=activation,
                pieces=pieces,
                dropout=dropout,
                weight_norm=weight_norm,
            )
            for _ in range(num_layers)
        )

    @classmethod
    def sight(cls, options: Mapping[str, Any]) -> Sight:
        """Return "left" for causal layers, else "both"."""
        return "left" if options.get("causal", False) else "both"

    @classmethod
    def sees_target(cls, task: str) -> OptionError:
        """Return the error for a language model on layers that read both sides."""
        return OptionError(
            "causal",
            f"the layers have read the word that task {task!r} predicts; set it to true, and "
            "predict the next word",
        )

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for a model of the previous word on causal layers, which have read it."""
        yield from super().check(options, context)
        for task, word in context.texts.items():
            if word == "previous" and cls.sight(options) == "left":
                yield OptionError(
                    "causal",
                    f"task {task!r} predicts the previous word, which causal layers have just "
                    "read; predict the next word, or choose another trunk",
                )

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each layer; the first one includes the layer below it."""
        first, *others = (list(layer.parameters()) for layer in self.layers)
        return [[*self.widen.parameters(), *first], *others]

    def unit_weights(self, i: int) -> Tensor:
        """Return the weights of the pieces or gates of each unit; see `Trunk.unit_weights`."""
        return cast("ConvLayer", self.layers[i - 1]).unit_weights().unsqueeze(0)

    def initial_state(self, batch_size: int) -> State:
        """Return zeros, the inputs before the first token; None for layers that are not causal."""
        return [cast("ConvLayer", layer).initial_state(batch_size) for layer in self.layers]

    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i (from 1); see `Trunk.step`."""
        x = self.widen(hidden[0]) if i == 1 else hidden[i - 1]
        output: tuple[Tensor, Any] = self.layers[i - 1](x, mask, state)
        return output

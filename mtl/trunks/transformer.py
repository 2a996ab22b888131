"""Transformer trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, cast

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.layers.subwords import Alignment
from mtl.layers.transformer import Activation, RelativePositionBias, TransformerLayer
from mtl.options import (
    Default,
    LayerCount,
    ModelName,
    PositiveFloat,
    PositiveInt,
    Probability,
    Requires,
)
from mtl.trunks.base import State, Trunk

SPECIAL_TOKENS = 2
"""The special tokens that a pretrained model adds around a sentence."""


class TransformerRecipe(TypedDict, total=False):
    """Options that the library follows when it builds a transformer.

    Args:
        name: Folder of a pretrained model in the format of `transformers`, or its name on the
            Hugging Face hub, from which it is downloaded. BERT, DistilBERT, RoBERTa, XLM-RoBERTa,
            CamemBERT and MPNet have this form, and many models under other names. Needs `pip
            install mtl[transformers]`.
        align: The vector of a word that heads read: the vector of its first subword, or the mean
            over its subwords.
    """

    name: Annotated[ModelName | None, Default(None)]
    align: Annotated[Alignment, Default("first"), Requires("name")]


class TransformerTrunk(Trunk):
    """The encoder of BERT (Devlin et al. 2019), with pretrained weights or without.

    With a pretrained model (`name`) its tokens are the subwords of that model, which also embeds
    them; without one they are words. Every token reads both sides. No state is carried from text
    to text, and a text may have at most as many tokens as there are positions.

    Sizes that are null are taken from `name`. The run folder contains all sizes, so a trained model
    does not need the pretrained one.

    Args:
        in_features: Width D of the token vectors.
        num_layers: The number of layers. If `name` has more, only its first layers are used.
        hidden_size: Width H of every layer.
        num_heads: The number of attention heads per layer.
        feed_forward: Width of the hidden layer after the attention.
        positions: The maximum number of tokens of a text.
        relative_positions: Whether a learned bias of the distance between two tokens is added to
            the attention scores, in 32 buckets up to 128 tokens (Song et al. 2020); the layers
            share it. false without `name`.
        activation: The activation of the hidden layer; gelu without `name`.
        epsilon: Added to variances, so that normalisations do not divide by zero; 1e-12 without
            `name`.
        dropout: Probability of dropping a unit or an attention weight, in training.
    """

    recipe = TransformerRecipe

    def __init__(
        self,
        in_features: int,
        *,
        num_layers: LayerCount | None = None,
        hidden_size: PositiveInt | None = None,
        num_heads: PositiveInt | None = None,
        feed_forward: PositiveInt | None = None,
        positions: PositiveInt | None = None,
        relative_positions: bool | None = None,
        activation: Activation | None = None,
        epsilon: PositiveFloat | None = None,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        epsilon = epsilon or 1e-12
        layers = _sized("num_layers", num_layers)
        width = _sized("hidden_size", hidden_size)
        heads = _sized("num_heads", num_heads)
        self.sizes = [in_features] + [width] * layers
        self.widen = nn.Linear(in_features, width) if in_features != width else nn.Identity()
        self.positions = nn.Embedding(_sized("positions", positions), width)
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(
                width,
                num_heads=heads,
                feed_forward=_sized("feed_forward", feed_forward),
                activation=activation or "gelu",
                epsilon=epsilon,
                dropout=dropout,
            )
            for _ in range(layers)
        )
        self.bias = RelativePositionBias(heads) if relative_positions else None
        nn.init.normal_(self.positions.weight, std=0.02)

    @classmethod
    def pretrained(cls, options: Mapping[str, Any]) -> str | None:
        """Return the pretrained model, by its folder or its name on the hub; None: none."""
        name: str | None = options["name"]
        return name

    @classmethod
    def loading_options(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the names of the options that load weights into the trunk."""
        return [*super().loading_options(options), *["name"] * bool(cls.pretrained(options))]

    @classmethod
    def max_tokens(cls, options: Mapping[str, Any]) -> int | None:
        """Return the number of positions, special tokens subtracted; None if it is not known."""
        positions: int | None = options["positions"]
        return positions and positions - SPECIAL_TOKENS * bool(cls.pretrained(options))

    @classmethod
    def is_sized(cls, options: Mapping[str, Any]) -> bool:
        """Return whether the sizes of the pretrained model are filled in, if there is one."""
        return not cls.pretrained(options) or options["num_layers"] is not None

    @classmethod
    def with_sizes(cls, options: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with the sizes of the pretrained model for those that are null."""
        for option, size in sizes.items():
            written = options[option]
            fewer = option == "num_layers" and written is not None and written < size
            if written not in (None, size) and not fewer:
                name = cls.pretrained(options)
                raise OptionError(option, f"{name} has {size}, got {written}; leave it out")
        written_sizes = {name: value for name, value in options.items() if value is not None}
        return {**options, **sizes, **written_sizes}

    @classmethod
    def subword_embedding(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the embedding of subwords that a pretrained trunk reads."""
        return {
            "dim": options["hidden_size"],
            "limit": options["positions"],
            "align": options["align"],
        }

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy the weights of the pretrained model, whose further layers are ignored."""
        self.load_state_dict({name: tensors[name] for name in self.state_dict()})

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each layer; the first one includes the positions."""
        below = [self.widen, self.positions, self.norm, *([self.bias] if self.bias else [])]
        first = [parameter for module in below for parameter in module.parameters()]
        layers = [list(layer.parameters()) for layer in self.layers]
        return [first + layers[0], *layers[1:]]

    def unit_weights(self, i: int) -> Tensor:
        """Return the weights of each unit of layer i after attention and after the hidden layer.

        These are the two maps whose results are added to the unit; see `Trunk.unit_weights`.
        """
        layer = cast("TransformerLayer", self.layers[i - 1])
        return torch.cat([layer.output.weight.T, layer.narrow.weight.T]).unsqueeze(0)

    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i; see `Trunk.step`. Raises ValueError if a text is too long."""
        x = self._with_positions(hidden[0]) if i == 1 else hidden[i - 1]
        bias = self.bias(x.shape[1]) if self.bias else None
        return self.layers[i - 1](x, mask, bias), None

    def _with_positions(self, x: Tensor) -> Tensor:
        """Return the input of the first layer: token vectors plus the vectors of positions."""
        limit = self.positions.num_embeddings
        if x.shape[1] > limit:
            raise ValueError(f"expected at most {limit} tokens, got {x.shape[1]}; shorten the text")
        summed = self.widen(x) + self.positions.weight[: x.shape[1]]
        dropped: Tensor = self.dropout(self.norm(summed))
        return dropped

    def initial_state(self, batch_size: int) -> State:
        """Return an empty state: a transformer carries none."""
        return [None] * len(self.layers)


def _sized(name: str, value: int | None) -> int:
    if value is None:
        raise OptionError(
            name, "expected a number, or the `name` of a pretrained model that fixes it"
        )
    return value

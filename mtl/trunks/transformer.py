"""Transformer trunk. Letters: B sentences, T tokens, D input width, H layer width."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mtl.layers.subwords import Alignment
from mtl.layers.transformer import Activation, TransformerLayer
from mtl.options import ModelName, PositiveFloat, PositiveInt, Probability
from mtl.trunks.base import State, Trunk


class TransformerTrunk(Trunk):
    """The encoder of BERT (Devlin et al. 2019), with the weights of a pretrained one or without.

    Its tokens are the subwords of the pretrained model, which also embeds them; without one, they
    are the words. It sees both sides of a token, carries nothing from text to text, and reads as
    many tokens as it has positions.

    Sizes are null for those of `name`; the run folder has them in full, so that a trained model
    does not need the pretrained one again.

    Args:
        in_features: Width D of the token vectors.
        name: Folder of a pretrained model in the format of `transformers`, or its name on the
            Hugging Face hub, which it is fetched from. BERT, RoBERTa, XLM-RoBERTa and CamemBERT
            have this form, and many that bear other names. Needs `pip install mtl[transformers]`.
        align: What a word is to the heads: its first subword, or the mean of its subwords.
        num_layers: The number of layers; fewer than `name` has are its first ones.
        hidden_size: Width H of every layer.
        num_heads: The number of attentions in a layer.
        feed_forward: Width of the hidden layer after an attention.
        positions: The most tokens of a text.
        activation: The activation of the hidden layer; without `name`, gelu.
        epsilon: What keeps the normalisations from dividing by zero; without `name`, 1e-12.
        dropout: Probability of dropping a unit or a weight of an attention, in training.
    """

    def __init__(
        self,
        in_features: int,
        *,
        name: ModelName | None = None,  # read by who makes the trunk: weights and subwords
        align: Alignment = "first",  # followed by who makes words of the subwords
        num_layers: PositiveInt | None = None,
        hidden_size: PositiveInt | None = None,
        num_heads: PositiveInt | None = None,
        feed_forward: PositiveInt | None = None,
        positions: PositiveInt | None = None,
        activation: Activation | None = None,
        epsilon: PositiveFloat | None = None,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        epsilon = epsilon or 1e-12
        layers = _given("num_layers", num_layers)
        width = _given("hidden_size", hidden_size)
        self.sizes = [in_features] + [width] * layers
        self.widen = nn.Linear(in_features, width) if in_features != width else nn.Identity()
        self.positions = nn.Embedding(_given("positions", positions), width)
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(
                width,
                num_heads=_given("num_heads", num_heads),
                feed_forward=_given("feed_forward", feed_forward),
                activation=activation or "gelu",
                epsilon=epsilon,
                dropout=dropout,
            )
            for _ in range(layers)
        )
        nn.init.normal_(self.positions.weight, std=0.02)

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each layer; positions go with the first."""
        before = [self.widen, self.positions, self.norm]
        first = [parameter for module in before for parameter in module.parameters()]
        found = [list(layer.parameters()) for layer in self.layers]
        return [first + found[0], *found[1:]]

    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i; see `Trunk.step`. Raises ValueError when a text is too long."""
        x = self._placed(hidden[0]) if i == 1 else hidden[i - 1]
        return self.layers[i - 1](x, mask), None

    def _placed(self, x: Tensor) -> Tensor:
        """Return token vectors as the first layer takes them, each with that of its place."""
        limit = self.positions.num_embeddings
        if x.shape[1] > limit:
            raise ValueError(f"expected at most {limit} tokens, got {x.shape[1]}; cut the text")
        placed = self.widen(x) + self.positions.weight[: x.shape[1]]
        dropped: Tensor = self.dropout(self.norm(placed))
        return dropped

    def initial_state(self, batch_size: int) -> State:
        """Return a state that carries nothing."""
        return [None] * len(self.layers)


def _given(name: str, value: int | None) -> int:
    if value is None:
        raise ValueError(f"{name}: expected a number, or the `name` of a model to take it from")
    return value

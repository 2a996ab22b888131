"""Trunks of recurrent layers that read in one or both directions. Letters: B, T, D, H."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypedDict, Unpack, cast

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.layers.connections import Highway, Residual
from mtl.layers.dropout import EvolutionalDropout, Standout, VariationalDropout
from mtl.layers.lookup import lookup_of
from mtl.options import (
    Default,
    LayerCount,
    NonNegativeInt,
    PositiveInt,
    Probability,
    Requires,
    RunContext,
    complete,
)
from mtl.trunks.base import Sight, State, Trunk

Bidirectional = bool | Literal["interleaved"]
Connections = Literal["none", "residual", "residual_sum", "highway", "dense", "skip"]
DropoutType = Literal["variational", "evolutional"]
DROPOUTS: Mapping[str, Callable[[float], nn.Module]] = {
    "variational": VariationalDropout,
    "evolutional": EvolutionalDropout,
}


class Recurrent(nn.Module, ABC):
    """One recurrent layer, in one direction or both."""

    @abstractmethod
    def initial(self, batch_size: int) -> Any:
        """Return the state of the forward direction before the first token."""

    @abstractmethod
    def unit_weights(self) -> Tensor:
        """Return the weights that compute each unit of a direction, `[directions, N, H]`."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the outputs and, if a state was passed, the new state after the text.

        Args:
            x: `[B, T, D]`; `[B, T, 2D]` if each direction reads its own part.
            mask: `[B, T]` bool, True on real tokens, which come first.
            state: The state that the forward direction returned for the preceding chunk of text,
                or None if no state is carried.

        Returns:
            `[B, T, H]` or `[B, T, 2H]`, anything on padding, and the state or None.
        """

    # ---- prediction, where the products of a word are the same wherever it occurs

    @property
    def has_products(self) -> bool:
        """Whether the layer is a recurrence over such products alone, so that it has `products`.

        False while its weights are not its own parameters, as in `torch.func.functional_call`.
        """
        return False

    def products(self, vectors: Tensor) -> Tensor:
        """Return the products of word vectors `[U, D]` with the input weights, `[U, N]`."""
        raise NotImplementedError(f"{type(self).__name__} has no products")

    def prepared(self) -> Any:
        """Return further values that `over_products` reads, computed once."""
        return None

    def over_products(
        self, products: Tensor, ids: Tensor, lengths: Tensor, prepared: Any
    ) -> Tensor:
        """Return the outputs in evaluation, `[B, T, H]` or `[B, T, 2H]`, zero on padding.

        Args:
            products: The result of `products`, `[U, N]`.
            ids: The row of each token, `[B, T]` int64.
            lengths: `[B]` int64, the number of real tokens of each sentence, which come first.
            prepared: The result of `prepared`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no products")


class StackOptions(TypedDict, total=False):
    """Options of all trunks of recurrent layers.

    Args:
        num_layers: The number of layers.
        hidden_size: Width of each direction of a layer.
        last_size: Width of each direction of the last layer; null: `hidden_size`. Language models
            with tied outputs need no projection if the layer is as wide as the word vectors (Merity
            et al. 2017).
        bidirectional: true: two independent directions, concatenated at every layer; each may be
            pretrained as a language model. "interleaved": every layer reads both directions of the
            layer below, usually a little better when trained from scratch. false: left to right.
        dropout: Probability of dropping a unit of a layer's input, the same for all tokens of a
            sentence (Gal & Ghahramani 2016).
        input_dropout: The same for the token vectors; null: equal to `dropout`. With 0, units are
            dropped only between layers.
        dropout_type: "variational": all units are dropped equally often. "evolutional": units with
            small activations in the batch are dropped more often (Li et al. 2016).
        connections: Links that ease the training of deep stacks. "residual" adds a layer's input to
            its output (He et al. 2016), "residual_sum" the inputs of all layers up to it (Britz et
            al. 2017); "highway" mixes input and output by a learned gate (Srivastava et al. 2015);
            with "dense" a layer reads the token vectors and the outputs of all layers below (Huang
            et al. 2017), with "skip" the token vectors and the layer below (Graves 2013). The first
            three skip the first layer, whose input has another width. Independent directions stay
            independent.
        sum_layers: Whether the last output is the sum of the outputs of all layers.
        feed_forward: Width of a layer of rectified units between the token vectors and the first
            recurrent layer; 0: none.
        standout: Whether a unit of this layer is dropped with probability 1 − σ(a), where a is its
            value before rectification; evaluation uses the expected value (Ba & Frey 2013).
    """

    num_layers: Annotated[LayerCount, Default(2)]
    hidden_size: Annotated[PositiveInt, Default(256)]
    last_size: Annotated[PositiveInt | None, Default(None), Requires("num_layers", least=2)]
    bidirectional: Annotated[Bidirectional, Default(True)]
    dropout: Annotated[Probability, Default(0.3)]
    input_dropout: Annotated[Probability | None, Default(None)]
    dropout_type: Annotated[DropoutType, Default("variational")]
    connections: Annotated[Connections, Default("none"), Requires("num_layers", least=2)]
    sum_layers: Annotated[bool, Default(False), Requires("num_layers", least=2)]
    feed_forward: Annotated[NonNegativeInt, Default(0)]
    standout: Annotated[bool, Default(False), Requires("feed_forward")]


class DirectionalTrunk(Trunk):
    """A stack of recurrent layers, each in one or both directions, with dropout between them.

    Args:
        in_features: Width D of the token vectors.
        make: Returns the layer with an index (from 0), given the input width and the output width
            of a direction, and whether each direction reads its own part of the input.
    """

    beyond_shapes: ClassVar[tuple[str, ...]] = ("connections",)

    def __init__(
        self,
        in_features: int,
        make: Callable[[int, int, int, bool], Recurrent],
        **stack: Unpack[StackOptions],
    ) -> None:
        super().__init__()
        stack = complete(StackOptions, stack)
        for error in _misfits(stack):
            raise error
        num_layers, feed_forward = stack["num_layers"], stack["feed_forward"]
        self.directions = 1 + bool(stack["bidirectional"])
        widths = [stack["hidden_size"]] * num_layers
        widths[-1] = stack["last_size"] or widths[-1]
        self.sizes = [in_features, *(self.directions * width for width in widths)]
        self.stacks = 2 if stack["bidirectional"] is True else 1
        self.connections = stack["connections"]
        self.sum_layers = stack["sum_layers"]
        rate = stack["dropout"]
        of_input = rate if stack["input_dropout"] is None else stack["input_dropout"]
        dropout = DROPOUTS[stack["dropout_type"]]
        self.dropout = dropout(rate)
        self.below: nn.Module = dropout(of_input)
        if feed_forward:
            first = nn.Linear(in_features, feed_forward)
            rectified = Standout() if stack["standout"] else nn.ReLU()
            self.below = nn.Sequential(self.below, first, rectified, self.dropout)
        self.layers = nn.ModuleList([make(0, feed_forward or in_features, widths[0], False)])
        self.links = nn.ModuleList()
        for i in range(1, num_layers):
            seen = [size // self.stacks for size in self.sizes[1 : i + 1]]
            if self.connections != "dense":
                seen = seen[-1:]
            if self.connections in ("dense", "skip"):
                seen.append(in_features)
            self.layers.append(make(i, sum(seen), widths[i], self.stacks == 2))
            if self.connections == "residual":
                self.links.append(Residual())
            elif self.connections == "highway":
                self.links.append(Highway(self.sizes[i], self.stacks))

    @classmethod
    def sight(cls, options: Mapping[str, Any]) -> Sight:
        """Return "both" if layers are interleaved, "independent" for two separate directions."""
        both: Bidirectional = options.get("bidirectional", True)
        return "both" if both == "interleaved" else "independent" if both else "left"

    @classmethod
    def sees_target(cls, task: str) -> OptionError:
        """Return the error for a language model on interleaved layers."""
        return OptionError(
            "bidirectional",
            "from its second layer on, an interleaved trunk has read the word that task "
            f"{task!r} predicts; set it to true (two independent directions) or false",
        )

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for a model of the previous word on a trunk that has just read it."""
        yield from super().check(options, context)
        yield from _misfits(options)
        for task, word in context.texts.items():
            if word == "previous" and cls.sight(options) == "left":
                yield OptionError(
                    "bidirectional",
                    f"task {task!r} predicts the previous word, which a trunk from left to right "
                    "has just read; set it to true, or predict the next word",
                )

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if `input_dropout` leaves no place for `dropout`."""
        yield from super().notes(options, context)
        single = options["num_layers"] == 1 and not options["feed_forward"]
        changed = options["dropout"] != complete(StackOptions, {})["dropout"]
        if single and changed and options["input_dropout"] is not None:
            yield (
                "dropout has no effect, since the only layer reads token vectors with "
                "input_dropout; set one of the two"
            )

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each layer, with its link to the layer below."""
        found = [list(layer.parameters()) for layer in self.layers]
        found[0] += self.below.parameters()
        for layer, link in zip(found[1:], self.links, strict=False):
            layer += link.parameters()
        return found

    def unit_weights(self, i: int) -> Tensor:
        """Return the weights of the gates of each unit of layer i; see `Trunk.unit_weights`."""
        return cast("Recurrent", self.layers[i - 1]).unit_weights()

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first token; only the forward direction has one."""
        return [cast("Recurrent", layer).initial(batch_size) for layer in self.layers]

    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i (from 1); see `Trunk.step`."""
        if i == 1 and state is None and (first := self._over_words(hidden[0], mask)) is not None:
            return first, None
        output, state = self.layers[i - 1](self._input(hidden[:i]), mask, state)
        if i > 1 and self.links:
            output = self.links[i - 2](hidden[i - 1], output)
        if self.connections == "residual_sum":
            output = sum(hidden[1:i], output)
        if self.sum_layers and i == self.num_layers:
            output = sum(hidden[1:i], output)
        return output * mask.unsqueeze(-1), state

    def word_products(self, vectors: Tensor) -> Tensor:
        """Return the products of word vectors `[U, D]` that the first layer reads, `[U, N]`."""
        return cast("Recurrent", self.layers[0]).products(self.below(vectors))

    def _over_words(self, x: Tensor, mask: Tensor) -> Tensor | None:
        """Return the output of the first layer from products that were computed once per word.

        None where that is not exact or not possible: in training, on a GPU, for vectors that are
        not rows of a table, and for weights other than the parameters of the module.
        """
        found, layer = lookup_of(x), cast("Recurrent", self.layers[0])
        if found is None or self.training or not layer.has_products:
            return None
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return None
        products = found.words.products(self, self.word_products)
        if products is None:
            return None
        prepared = found.words.prepared(self, layer.prepared)
        return layer.over_products(products, found.ids, mask.sum(1), prepared)

    def _input(self, hidden: list[Tensor]) -> Tensor:
        """Return the input of the next layer, one part per independent direction."""
        x, *outputs = hidden
        if not outputs:
            return cast("Tensor", self.below(x))
        if self.connections not in ("dense", "skip"):
            return cast("Tensor", self.dropout(outputs[-1]))
        if self.connections == "skip":
            outputs = outputs[-1:]
        parts = zip(*(output.chunk(self.stacks, dim=2) for output in outputs), strict=True)
        read = torch.cat([vectors for part in parts for vectors in (x, *part)], dim=2)
        return cast("Tensor", self.dropout(read))


def _misfits(options: Mapping[str, Any]) -> Iterable[OptionError]:
    """Yield errors for options that exclude each other."""
    last, links = options.get("last_size"), options.get("connections")
    summed = options.get("sum_layers") or links in ("residual", "residual_sum", "highway")
    if summed and last not in (None, options["hidden_size"]):
        name = "sum_layers" if options.get("sum_layers") else f"connections: {links}"
        yield OptionError(
            "last_size",
            f"expected hidden_size, {options['hidden_size']}, got {last}: {name} needs layers of "
            "equal width; leave one of them out",
        )
    drops = options.get("dropout") or options.get("input_dropout")
    if options.get("dropout_type", "variational") != "variational" and not drops:
        message = "has no effect unless dropout or input_dropout is above 0; set one of them"
        yield OptionError("dropout_type", message)

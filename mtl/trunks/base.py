"""The contract of trunks. Letters: B sentences, T tokens, D input and H layer width, L layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypedDict

from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.files import run_folder
from mtl.options import Checked, Default, NonNegativeInt, Requires, RunContext, RunPath

State = list[Any]
"""The state that a trunk carries from one chunk of a text to the next, one entry per layer."""

Sight: TypeAlias = Literal["left", "independent", "both"]
"""The tokens that a hidden state depends on.

"left": the tokens up to its own. "independent": in the first half of a layer the tokens up to its
own, in the second half its own and the tokens after it. "both": all tokens.
"""


class TrunkRecipe(TypedDict, total=False):
    """Options that the library follows when it builds any trunk.

    Args:
        init: Folder of a finished run: trunk, embedding and language models start from its
            weights, and its words are known words. The package contains the models "english" and
            "wikitext2", for the trunk and the embedding of configs/base/english.yaml and of
            configs/base/lstm.yaml.
        init_heads: Whether the heads of tasks that the run of `init` also has start from its
            weights, too, label by label; the labels that it does not have start from random
            weights. For a model that learns further data, labels or tasks.
        keep_labels: Whether these heads also keep labels of the run of `init` that the training
            data of this run lacks.
        corpus_dim: Width of a learned vector of the corpus, which is appended to the vector of each
            token, so that one trunk can treat each kind of text differently (van der Goot et al.
            2021); 0: none. A task is predicted with the vector of its own corpus, unless
            `mtl predict --corpus` names another one. The trunk runs once per corpus of the tasks
            that are predicted together.
    """

    init: Annotated[RunPath | None, Default(None)]
    init_heads: Annotated[bool, Default(False), Requires("init")]
    keep_labels: Annotated[bool, Default(False), Requires("init_heads")]
    corpus_dim: Annotated[NonNegativeInt, Default(0)]


def mapped(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a state with its tensors changed, always in the same order."""
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {name: mapped(part, change) for name, part in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(mapped(part, change) for part in state)
    return state


class Trunk(Checked, nn.Module, ABC):
    """A stack of layers over the token vectors.

    Residual, dense and highway links are part of `step`; `forward` only calls it in a loop. A
    sharing that mixes several trunks between layers calls `step` itself.

    Args:
        in_features: Width D of the token vectors.
    """

    recipe: ClassVar[type] = TrunkRecipe
    layered: ClassVar[bool] = True
    """Whether it has layers, which taggers and sharings need."""
    beyond_shapes: ClassVar[tuple[str, ...]] = ()
    """Options that change the meaning of the weights but not their shapes. A run that starts from
    another one must have the same values."""
    sizes: list[int]
    """Widths of `hidden`: sizes[0] for the input, sizes[i] for layer i."""
    directions: int = 1
    """The number of directions in every layer, side by side, each with an equal part of it."""
    stacks: int = 1
    """The number of independent directions: parts of equal width, side by side in every layer,
    that never read each other."""

    # ---- capabilities, which follow from the options alone

    @classmethod
    def sight(cls, options: Mapping[str, Any]) -> Sight:
        """Return the tokens that a hidden state depends on, which restrict language models."""
        return "both"

    @classmethod
    def start_folder(cls, options: Mapping[str, Any]) -> str | None:
        """Return the folder of the run whose weights the trunk starts from, if any."""
        init: str | None = options.get("init")
        return str(run_folder(init)) if init else None

    @classmethod
    def starts_heads(cls, options: Mapping[str, Any]) -> bool:
        """Return whether the heads start from the run of `start_folder`, too."""
        return bool(options.get("init_heads"))

    @classmethod
    def keeps_labels(cls, options: Mapping[str, Any]) -> bool:
        """Return whether the heads keep labels that only the run of `start_folder` has."""
        return bool(options.get("keep_labels"))

    @classmethod
    def pretrained(cls, options: Mapping[str, Any]) -> str | None:
        """Return the pretrained model whose subwords and weights the trunk uses, if any."""
        return None

    @classmethod
    def loading_options(cls, options: Mapping[str, Any]) -> list[str]:
        """Return the names of the options that load weights into the trunk."""
        return ["init"] if cls.start_folder(options) else []

    @classmethod
    def corpus_width(cls, options: Mapping[str, Any]) -> int:
        """Return the width of the vector of the corpus beside the token vectors; 0: none."""
        return options.get("corpus_dim") or 0

    @classmethod
    def max_tokens(cls, options: Mapping[str, Any]) -> int | None:
        """Return the most words of a sentence that the trunk can read; None: any number."""
        return None

    @classmethod
    def is_sized(cls, options: Mapping[str, Any]) -> bool:
        """Return whether the sizes of all layers are known."""
        return True

    @classmethod
    def with_sizes(cls, options: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with the sizes of the pretrained model filled in.

        Args:
            options: All options.
            sizes: The options that the model fixes, by name.

        Raises:
            OptionError: An option has another size than the model.
        """
        return dict(options)

    @classmethod
    def subword_embedding(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the embedding of subwords that a pretrained trunk reads."""
        raise NotImplementedError(f"{cls.__name__} has no pretrained models")

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for each language model that would read the word that it predicts."""
        yield from super().check(options, context)
        sight = cls.sight(options)
        for task, word in context.texts.items():
            if sight == "both" and word != "same":
                yield cls.sees_target(task)
        if cls.corpus_width(options) and cls.pretrained(options):
            yield OptionError(
                "corpus_dim", "a pretrained model reads vectors of its own width; leave it out"
            )

    @classmethod
    def idle(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error for vectors of corpora in a run with one corpus."""
        yield from super().idle(options, context)
        if cls.corpus_width(options) and len(context.corpora) == 1:
            yield OptionError("corpus_dim", "the run has one corpus; leave it out")

    @classmethod
    def sees_target(cls, task: str) -> OptionError:
        """Return the error for a language model on a trunk that reads both sides of a word."""
        return OptionError(
            "",
            f"its states depend on words on both sides, also on the word that task {task!r} "
            "predicts; choose another trunk",
        )

    # ---- weights

    @property
    def num_layers(self) -> int:
        """The number of layers L, without the input."""
        return len(self.sizes) - 1

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy the weights of the pretrained model that `pretrained` names."""
        raise NotImplementedError(f"{type(self).__name__} has no pretrained models")

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each layer, the first layer first, for fine-tuning.

        Every parameter occurs exactly once. A trunk that does not separate its layers counts as
        one layer.
        """
        return [list(self.parameters())]

    def unit_weights(self, i: int) -> Tensor:
        """Return the weights that compute each unit of layer i (from 1), `[directions, N, H]`.

        A column holds all N weights of a unit: for all its gates, from the layer's input and from
        its state.

        Raises:
            ValueError: The trunk does not separate the weights of its units.
        """
        raise ValueError(f"{type(self).__name__} does not separate the weights of its units")

    @abstractmethod
    def step(self, i: int, hidden: list[Tensor], mask: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run layer i (from 1).

        Args:
            i: The layer.
            hidden: Outputs so far: hidden[0] the token vectors `[B, T, D]`, hidden[j] layer j.
            mask: `[B, T]` bool, True on real tokens, which come first.
            state: The state that this layer returned for the preceding chunk of text; at the start
                of a text, its entry of `initial_state`; None if no state is carried.

        Returns:
            The layer's output `[B, T, H]`, zero on padding, and its new state after the last real
            token; None if no state is carried.
        """

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first token, for texts in chunks."""

    def forward(
        self, x: Tensor, mask: Tensor, state: State | None = None
    ) -> tuple[list[Tensor], State | None]:
        """Return the outputs of all layers, the input first, and the state to carry, if any."""
        hidden, after = [x], []
        for i in range(1, self.num_layers + 1):
            output, new = self.step(i, hidden, mask, state[i - 1] if state else None)
            hidden.append(output)
            after.append(new)
        return hidden, after if state else None

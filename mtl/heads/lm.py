"""Language model head. Letters: B sentences, T tokens, H width, V words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.heads.base import Head
from mtl.layers.activation_penalties import activation_penalty, temporal_activation_penalty
from mtl.layers.adaptive import AdaptiveSoftmax, TiedAdaptiveSoftmax
from mtl.layers.differentiated import DifferentiatedSoftmax
from mtl.layers.dropout import VariationalDropout
from mtl.layers.hierarchical_softmax import HierarchicalSoftmax
from mtl.layers.inputs import check_width
from mtl.layers.look_back import LookBack
from mtl.layers.next_word import (
    FullSoftmax,
    MixtureOfSoftmaxes,
    NextWord,
    TiedSoftmax,
    WordVectors,
)
from mtl.layers.spelling_softmax import SpellingSoftmax
from mtl.layers.token_attention import TokenAttention
from mtl.layers.word_losses import (
    ImportanceSampling,
    NoiseContrastive,
    SampledLoss,
    SelfNormalised,
    TargetSampling,
    WordLoss,
)
from mtl.layers.word_trees import clustered_tree, context_vectors, huffman_tree
from mtl.options import (
    Bounds,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    Requires,
    RunContext,
    refuse_idle,
)
from mtl.targets.base import Target, labelled

OutputLayer = Literal[
    "tied", "full", "adaptive", "tied_adaptive", "mos", "hierarchical", "differentiated", "cnn"
]
BANDED = ("adaptive", "tied_adaptive", "differentiated")
"""Outputs that treat words by their rank of frequency."""
WordTree = Literal["random", "huffman", "clustered"]
TrainingLoss = Literal[
    "exact", "importance", "adaptive_importance", "targets", "nce", "self_normalised"
]
SAMPLED = ("importance", "adaptive_importance", "targets", "nce")


class LanguageModel(Head):
    """Language model: a tagger that predicts the neighbouring word of each token.

    The label source decides which word it predicts, the next or the previous one (`labels: {text:
    next}`). On a trunk with two independent directions it reads the direction that has not seen
    this word.

    Args:
        in_features: Width H of the hidden states.
        labels: The V words, sorted by frequency, most frequent first.
        embedding: `[V, D]`, the input word vectors that tied outputs share; None for a separate
            table.
        output: The output layer. "tied": the input word vectors (Inan et al. 2016); "full":
            separate output vectors; "adaptive": clusters of rare words with fewer dimensions,
            several times faster (Grave et al. 2016); "tied_adaptive": both; "mos": a mixture of
            tied softmaxes (Yang et al. 2017); "hierarchical": a path through a binary tree
            (Mnih & Hinton 2008); "differentiated": fewer units for rare words (Chen et al. 2016);
            "cnn": output vectors from spellings (Jozefowicz et al. 2016).
        cutoffs: Number of more frequent words before each cluster of adaptive outputs or band of
            differentiated ones, increasing. Values below 1 are fractions of the vocabulary; larger
            values are numbers of words, which stay the same if the vocabulary grows when a run
            starts from another one.
        num_softmaxes: Number of softmaxes of "mos".
        attention: Adds a context vector to each state: the mean of the states of preceding tokens,
            weighted by a score of both states. Names as for taggers; "key_value" has separate parts
            of the states for scores and means (Daniluk et al. 2017). For tasks that predict the
            next word. In training, a chunk of a stream does not attend to the chunk before.
        window: The number of preceding tokens that the attention reads.
        tree: The tree of "hierarchical": words in "random" order; "huffman": frequent words near
            the top (Mikolov et al. 2013); "clustered": words with similar neighbours in the
            training text together.
        correction: Number of dimensions per word that the spelling does not determine, of "cnn".
        training_loss: The loss in training, for outputs with one vector per word; evaluation is
            exact. "importance": a sum over samples (Bengio & Senécal 2003); "adaptive_importance":
            half of the samples follow the targets of the step (after Bengio & Senécal 2008);
            "targets": a softmax over the targets of the step and random words (Jean et al. 2015);
            "nce": a classifier of words and noise (Mnih & Teh 2012); "self_normalised": exact, with
            a penalty that drives Z, the sum of all exponential scores, to 1 (Devlin et al. 2014).
        samples: Number of words that a sampled loss draws per step.
        self_normalisation: Weight α of the penalty α·(log Z)² of "self_normalised".
        normalised: Fraction of the tokens whose Z is computed by "self_normalised"; below 1, others
            have their score as the loss (Andreas & Klein 2015).
        dropout: Dropout probability of the hidden states; the same units for all tokens.
        ahead: The number k of words that each hidden state predicts in training: the next word, and
            up to k − 1 words after it, each by a linear map of its own before the same output
            layer. The loss is the mean over the k words (after Gloeckle et al. 2024).
        activation: Weight α of the penalty α·mean(h²) on the states after dropout, in training (AR;
            Merity et al. 2017 use 2).
        temporal: Weight β of the penalty β·mean((h_t − h_t+1)²) on the states before dropout, in
            training (TAR; Merity et al. 2017 use 1).
    """

    level = "token"

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str],
        embedding: nn.Parameter | None = None,
        *,
        output: OutputLayer = "tied",
        cutoffs: Annotated[
            tuple[Annotated[float, Bounds(gt=0)], ...],
            Requires("output", BANDED),
        ] = (0.1, 0.4),
        num_softmaxes: Annotated[PositiveInt, Requires("output", ("mos",))] = 4,
        attention: TokenAttention | None = None,
        window: Annotated[PositiveInt, Requires("attention")] = 5,
        tree: Annotated[WordTree, Requires("output", ("hierarchical",))] = "huffman",
        correction: Annotated[NonNegativeInt, Requires("output", ("cnn",))] = 16,
        training_loss: Annotated[
            TrainingLoss, Requires("output", ("tied", "full", "cnn"))
        ] = "exact",
        samples: Annotated[PositiveInt, Requires("training_loss", SAMPLED)] = 1000,
        self_normalisation: Annotated[
            PositiveFloat, Requires("training_loss", ("self_normalised",))
        ] = 0.1,
        normalised: Annotated[
            float, Bounds(gt=0, le=1), Requires("training_loss", ("self_normalised",))
        ] = 1.0,
        dropout: Probability = 0.4,
        ahead: PositiveInt = 1,
        activation: NonNegativeFloat = 0.0,
        temporal: NonNegativeFloat = 0.0,
    ) -> None:
        given = {
            "output": output,
            "cutoffs": cutoffs,
            "num_softmaxes": num_softmaxes,
            "attention": attention,
            "window": window,
            "tree": tree,
            "correction": correction,
            "training_loss": training_loss,
            "samples": samples,
            "self_normalisation": self_normalisation,
            "normalised": normalised,
        }
        refuse_idle(LanguageModel, given)
        super().__init__(in_features, labels)
        self.look_back = LookBack(in_features, attention, window) if attention else None
        self.reach = window if attention else 0
        """The number of preceding states that a prediction reads, beside its own state."""
        self.dropout = VariationalDropout(dropout)
        self.activation = activation
        self.temporal = temporal
        self.ahead = ahead
        self.further = nn.ModuleList(
            nn.Linear(in_features, in_features, bias=False) for _ in range(ahead - 1)
        )
        self.tree = tree
        number = len(self.labels)
        if embedding is None:
            embedding = nn.Parameter(torch.randn(number, in_features) / in_features**0.5)
        cuts = _cuts(cutoffs, number, needed=output in BANDED)
        self.output: NextWord
        match output:
            case "tied":
                self.output = TiedSoftmax(in_features, embedding)
            case "full":
                self.output = FullSoftmax(in_features, number)
            case "adaptive":
                self.output = AdaptiveSoftmax(in_features, number, cutoffs=cuts, min_width=1)
            case "tied_adaptive":
                self.output = TiedAdaptiveSoftmax(in_features, embedding, cutoffs=cuts)
            case "mos":
                self.output = MixtureOfSoftmaxes(
                    in_features, embedding, num_softmaxes=num_softmaxes
                )
            case "hierarchical":
                self.output = HierarchicalSoftmax(in_features, number)
            case "differentiated":
                self.output = DifferentiatedSoftmax(in_features, number, cutoffs=cuts)
            case "cnn":
                self.output = SpellingSoftmax(in_features, self.labels, correction=correction)
        self.training_loss = _training_loss(
            training_loss, number, samples, self_normalisation, normalised
        )
        if self.training_loss and self.training_loss.unit_normaliser:
            assert isinstance(self.output, WordVectors)
            self.output.normalise()

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if the loss cannot be computed in this run."""
        yield from super().check(options, context)
        before = [task for task in context.users if context.texts.get(task) == "previous"]
        if options["ahead"] > 1 and before:
            yield OptionError(
                "ahead", f"expected 1 for {before[0]!r}, which predicts the previous word"
            )
        loss = options["training_loss"]
        if loss in ("adaptive_importance", "targets") and context.processes > 1:
            yield OptionError(
                "training_loss", f"{loss!r} reads the targets of a whole step; train in one process"
            )
        if options.get("attention") and context.texts.get(context.task) != "next":
            yield OptionError(
                "attention",
                "looks back at preceding tokens, which have read the word to predict; leave it "
                "out, or predict the next word",
            )

    @classmethod
    def idle(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if a chunk does not contain all the words that a state predicts."""
        yield from super().idle(options, context)
        chunks = [context.chunks[task] for task in context.users if task in context.chunks]
        if chunks and options["ahead"] > (words := min(chunks)):
            yield OptionError(
                "ahead",
                f"expected at most the number of words per chunk, bptt ({words}), got "
                f"{options['ahead']}",
            )

    @property
    def reads_text(self) -> bool:
        """Whether the head depends on the training text; then call `read_text` before training."""
        of_tree = isinstance(self.output, HierarchicalSoftmax) and self.tree != "random"
        return of_tree or isinstance(self.training_loss, SampledLoss)

    def read_text(self, text: Tensor) -> None:
        """Make the tree of the words, or the distribution of samples, from the training text.

        Args:
            text: `[M]`, word ids in their order; a part of a long text is enough.
        """
        # Every word may be drawn, also words that the text lacks.
        counts = 1 + torch.bincount(text, minlength=len(self.labels))
        if isinstance(self.training_loss, SampledLoss):
            self.training_loss.set_counts(counts)
        if isinstance(self.output, HierarchicalSoftmax) and self.tree != "random":
            places = (
                huffman_tree(counts)
                if self.tree == "huffman"
                else clustered_tree(context_vectors(text, len(self.labels)))
            )
            self.output.places.copy_(places)

    @classmethod
    def accepts(cls, target: type[Target]) -> bool:
        """Return whether the labels are the words of the text."""
        return target.open_vocabulary

    def loss(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood of each sentence in nats, `[B]`.

        In training, `training_loss` replaces it, words further ahead are predicted too, and the
        penalties AR and TAR are added.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            target: `[B, T]` int64 word ids, ignored on padding; −1 for tokens without a loss.
        """
        check_width(hidden, self.in_features)
        # Dropout comes once, so that AR and all steps ahead see the same mask.
        dropped = self.dropout(hidden)
        states = self._with_context(dropped, mask)
        if not self.training:
            return self._losses(states, mask, target, self.output.loss).sum(1)
        of_tokens = self.output.loss
        if self.training_loss:
            of_tokens = partial(self.training_loss, self.output)
        losses = self._losses(states, mask, target, of_tokens).sum(1)
        for step, further in enumerate(self.further, start=1):
            ahead = further(states[:, :-step]), mask[:, step:], target[:, step:]
            losses = losses + self._losses(*ahead, of_tokens).sum(1)
        losses = losses / self.ahead
        if self.activation:
            losses = losses + self.activation * activation_penalty(dropped, mask)
        if self.temporal:
            losses = losses + self.temporal * temporal_activation_penalty(hidden, mask)
        return losses

    def log_probs_of(self, hidden: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return the log-probability of each target word, `[B, T]`, zero on padding."""
        states = self._with_context(self.dropout(hidden), mask)
        return -self._losses(states, mask, target, self.output.loss)

    def _with_context(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the states, to which the attention has added its context vectors, if any."""
        if self.look_back is None or not mask.any():
            return hidden
        states: Tensor = self.look_back(hidden, mask)[0]
        return states

    def _losses(
        self,
        hidden: Tensor,
        mask: Tensor,
        target: Tensor,
        of_tokens: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        values = hidden.new_zeros(mask.shape)
        known = labelled(target) & mask
        if known.any():
            # These tokens only: scores over the vocabulary are most of the cost.
            values[known] = of_tokens(hidden[known], target[known])
        return values

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the id of the most likely word for each token, `[B, T]`."""
        return self.log_probs(hidden, mask).argmax(2)

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the log-probabilities of all words, `[B, T, V]`, zero on padding."""
        check_width(hidden, self.in_features)
        states = self._with_context(self.dropout(hidden), mask)
        flat = self.output.log_probs(states.flatten(0, 1))
        return flat.view(*mask.shape, -1).masked_fill(~mask.unsqueeze(2), 0)


def _training_loss(
    name: TrainingLoss, number: int, samples: int, strength: float, fraction: float
) -> WordLoss | None:
    """Return the loss in training; None for the exact loss."""
    uniform = torch.ones(number)
    match name:
        case "importance" | "adaptive_importance":
            adaptive = name == "adaptive_importance"
            return ImportanceSampling(uniform, samples, adaptive=adaptive)
        case "nce":
            return NoiseContrastive(uniform, samples)
        case "targets":
            return TargetSampling(samples)
        case "self_normalised":
            return SelfNormalised(strength, fraction)
    return None


def _cuts(cutoffs: Sequence[float], number: int, *, needed: bool) -> list[int]:
    """Return the cutoffs as word ids, without those beyond the number of words.

    Raises:
        OptionError: The cutoffs do not rise, or none remains although it is needed.
    """
    if list(cutoffs) != sorted(set(cutoffs)):
        raise OptionError("cutoffs", f"expected rising numbers, got {list(cutoffs)}")
    cuts = sorted({max(1, int(cut * number if cut < 1 else cut)) for cut in cutoffs})
    cuts = [cut for cut in cuts if cut < number]
    if needed and not cuts:
        raise OptionError(
            "cutoffs",
            f"expected one below the {number} words of the vocabulary, got {list(cutoffs)}; "
            "for so few words choose the output 'tied'",
        )
    return cuts

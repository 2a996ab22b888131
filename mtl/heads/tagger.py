"""The contract of taggers. Letters: B sentences, T tokens, H width, K labels, N spans."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, TypedDict, Unpack

import torch
from torch import Tensor, nn

from mtl.errors import OptionError
from mtl.heads.base import HeadContext
from mtl.heads.pairs import Pairs
from mtl.heads.single_label import ClassWeights, LabelSmoothing, SingleLabelHead
from mtl.layers.attention import KeyValueAttention
from mtl.layers.dropout import VariationalDropout
from mtl.layers.inputs import check_width
from mtl.layers.rules import Rules, n_best_paths, warn_once
from mtl.layers.token_attention import (
    BOTH_SIDES,
    TokenAttention,
    TokenAttentionLayer,
    token_attention,
    token_weights,
)
from mtl.ops.crf_semirings import Chain
from mtl.options import (
    Default,
    PositiveInt,
    Probability,
    Requires,
    RunContext,
    complete,
    constructor_options,
    options_of,
)
from mtl.targets.objectives import Objective
from mtl.text.spans import FoundSpan, Scheme, Span, read_spans


class TaggerOptions(TypedDict, total=False):
    """Options of all taggers.

    Args:
        dropout: Probability of dropping a unit of the hidden states, the same for all tokens of
            a sentence.
        hidden_size: Width of a hidden layer with tanh before the scores; null for none.
        attention: Adds a context vector to the state of each token: the mean of the other tokens of
            the sentence, weighted by a score of both states; with key_value, of the tokens just
            before it; with multi_head, four such means; null for none.
        look_back: Whether the attention reads the preceding tokens of the sentence alone; key_value
            always does.
        window: The number of preceding tokens that key_value reads.
        values_alone: Whether the context of key_value joins the values of a token in place of its
            whole state, which contains its key too (Daniluk et al. 2017).
        label_smoothing: ε: training targets are the gold labels with probability 1 − ε, and any
            label with ε.
        class_weights: Label to the weight of its tokens in training, by default 1; or balanced: all
            labels have the same total weight in the training data. The loss of a CRF is not a sum
            over tokens: there a sentence has the mean weight of its tokens.
    """

    dropout: Annotated[Probability, Default(0.4)]
    hidden_size: Annotated[PositiveInt | None, Default(None)]
    attention: Annotated[TokenAttention | None, Default(None)]
    look_back: Annotated[bool, Default(False), Requires("attention", BOTH_SIDES)]
    window: Annotated[PositiveInt, Default(5), Requires("attention", ("key_value",))]
    values_alone: Annotated[bool, Default(False), Requires("attention", ("key_value",))]
    label_smoothing: LabelSmoothing
    class_weights: ClassWeights


class TaggerRecipe(TypedDict, total=False):
    """Options that the library follows when it builds a tagger.

    Args:
        scheme: Scheme in which span labels are learned; null for the scheme of the corpus. IOBES is
            often a little better than BIO.
    """

    scheme: Annotated[Scheme | None, Default(None)]


class Tagger(SingleLabelHead):
    """One label per token: dropout, optional layers, and a score for every label.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, for one label per token; or an objective, for heads that score
            each token independently.
        focal: γ of the focal loss, for heads with a softmax for each token.
    """

    level = "token"
    takes_objective: ClassVar[bool] = False
    """Whether tokens are scored independently, so that an objective may replace labels."""
    rules: Rules | None
    """Rules on whole label sequences, which `decode` obeys."""
    recipe = TaggerRecipe
    attention_option = "attention"

    def __init__(
        self,
        in_features: int,
        labels: Sequence[str] | Objective,
        *,
        focal: float = 0.0,
        **options: Unpack[TaggerOptions],
    ) -> None:
        options = complete(TaggerOptions, options)
        objective = labels if isinstance(labels, Objective) else None
        super().__init__(
            in_features,
            labels.labels if isinstance(labels, Objective) else labels,
            label_smoothing=options["label_smoothing"],
            class_weights=options["class_weights"],
            focal=focal,
            single=objective is None,
        )
        if objective is not None and not self.takes_objective:
            raise ValueError(f"labels: {type(self).__name__} expects label names, got an objective")
        self.objective = objective
        self.rules = None
        hidden_size = options["hidden_size"]
        self.dropout = VariationalDropout(options["dropout"])
        self.attention: TokenAttentionLayer | None = None
        if attention := options["attention"]:
            back = options["look_back"]
            window = options["window"] if attention == "key_value" else None
            layer = token_attention(attention, in_features, window, causal=back)
            self.attention, self.joined = layer, slice(None)
            if options["values_alone"]:
                assert isinstance(layer, KeyValueAttention)
                self.joined = layer.values
            in_features = len(range(in_features)[self.joined]) + layer.out_features
        self.hidden = (
            nn.Sequential(nn.Linear(in_features, hidden_size), nn.Tanh())
            if hidden_size
            else nn.Identity()
        )
        size = objective.size if objective else len(self.labels)
        self.output = nn.Linear(hidden_size or in_features, size)

    @classmethod
    def from_options(cls, options: Mapping[str, Any], context: HeadContext) -> Self:
        """Return the tagger that a run file describes.

        A constructor that takes the option `scheme` gets the scheme of the labels.
        """
        assert not isinstance(context.labels, Pairs)
        if options.get("rules") and context.scheme == "iob1":
            raise OptionError("rules", "in iob1, a span may begin with I or B; set scheme: bio")
        own = constructor_options(cls, options)
        for option in options_of(cls):
            # Only a constrained CRF reads the scheme, and it refuses one that it would not read.
            if option.name == "scheme" and (not option.requires or option.requires.met(options)):
                own["scheme"] = context.scheme
        return cls(context.in_features, context.labels, **own)

    @classmethod
    def tag_scheme(cls, options: Mapping[str, Any]) -> Scheme | None:
        """Return the option `scheme`."""
        scheme: Scheme | None = options.get("scheme")
        return scheme

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield errors of rules, and of a scheme if the labels are not span tags."""
        yield from super().check(options, context)
        yield from Rules.check(options.get("rules", ()))
        if (scheme := cls.tag_scheme(options)) and context.task not in context.spans:
            yield OptionError(
                "scheme",
                f"the head writes {scheme} tags, but the labels of {context.task!r} are not spans; "
                "set it to null, or set the `scheme` in the corpus file",
            )

    def scores(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the score of every label, `[B, T, K]`.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.

        Raises:
            ValueError: The hidden states have another width than H.
        """
        check_width(hidden, self.in_features)
        x = self.dropout(hidden)
        if self.attention is not None:
            contexts, _ = self.attention(x, mask)
            x = torch.cat([x[..., self.joined], contexts], dim=2)
        scores: Tensor = self.output(self.hidden(x))
        return scores

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor | None:
        """Return the attention weights between tokens, `[B, N, T, T]`; None without attention."""
        return token_weights(self.attention, hidden, mask) if self.attention else None

    def steps(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return the scores of transitions `[K, K]`, of first and of last labels, both `[K]`.

        `decode` returns the sequence with the largest sum of label and transition scores. None: all
        transition scores are zero.

        Raises:
            MtlError: `decode` does more, so the head cannot be exported or be part of an ensemble.
        """
        return None

    def chain(self, scores: Tensor, temperature: float = 1.0) -> Chain:
        """Return scores of labels, transitions, first and last labels, `[B, T, K]`, …, `[K]`.

        Transitions are `[K, K]`, or `[B, T - 1, K, K]` if they depend on the sentence.

        Args:
            scores: The result of `scores`.
            temperature: All scores are divided by it.
        """
        size = len(self.labels)
        none = scores.new_zeros(size, size), scores.new_zeros(size), scores.new_zeros(size)
        transitions, start, end = (own.to(scores) / temperature for own in self.steps() or none)
        return scores / temperature, transitions, start, end

    @torch.no_grad()
    def n_best(
        self,
        hidden: Tensor,
        mask: Tensor,
        n: int,
        allowed: Tensor | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Return the n best label sequences `[B, n, T]`, best first, and their log-probabilities.

        The log-probabilities `[B, n]` are among the sequences that `allowed`, the scheme and the
        rules of the head leave. A missing sequence has −∞, and the labels of the first one. If they
        leave none, the rules are given up first, and then the transitions, with a warning.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            n: The number of sequences.
            allowed: `[B, T, K]` bool, the labels that each token may have, at least one; None: any.
            temperature: As for `chain`.
        """
        scores = self.scores(hidden, mask)
        emissions, *steps = self.chain(scores, temperature)
        if allowed is not None:
            refused = ~allowed & mask.unsqueeze(2)
            emissions = emissions.masked_fill(refused, -torch.inf)
        transitions, start, end = steps
        chain = emissions, transitions, start, end
        paths, log_probs = n_best_paths(chain, mask, n, self.rules)
        lost = log_probs[:, 0].isneginf() & mask.any(1)
        if allowed is not None and lost.any():
            warn_once(
                "the labels given for some sentences allow no sequence under the scheme of the "
                "head; their other tokens are labelled one by one"
            )
            alone = scores[lost, :, : len(self.labels)].masked_fill(refused[lost], -torch.inf)
            none = torch.zeros_like(start)
            free = alone / temperature, none.expand(len(none), -1), none, none
            paths[lost], log_probs[lost] = n_best_paths(free, mask[lost], n, None)
        return torch.where(log_probs.isfinite().unsqueeze(2), paths, paths[:, :1]), log_probs

    def log_probs(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return `[B, T, K]`, zero on padding."""
        return self.log_marginals(self.scores(hidden, mask), mask)

    @abstractmethod
    def log_marginals(self, scores: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
        """Return the log-probability of every label of every token, `[B, T, K]`, zero on padding.

        Args:
            scores: The result of `scores`, `[B, T, K]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            temperature: All scores, also of transitions, are divided by it.
        """

    @abstractmethod
    def log_prob_of(
        self,
        scores: Tensor,
        mask: Tensor,
        labels: Tensor,
        chosen: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """Return the log-probability that the chosen tokens have these labels, `[B]`.

        Args:
            scores: The result of `scores`, `[B, T, K]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            labels: Label ids, `[B, T]`.
            chosen: `[B, T]` bool: the chosen tokens; all others may have any label.
            temperature: As for `log_marginals`.
        """

    @torch.no_grad()
    def spans(self, hidden: Tensor, mask: Tensor) -> list[list[FoundSpan]]:
        """Return the spans that `decode` predicts in each sentence, with their confidences.

        The confidence is the joint probability of the labels of a span, summed over the labels of
        all other tokens (Culotta and McCallum 2004). For tokens with independent labels it is the
        product of their probabilities.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.

        Raises:
            MtlError: The labels are not span tags.
        """
        paths = self.decode(hidden, mask)
        lengths = mask.sum(1).tolist()
        spans = [
            read_spans(self.labels[label] for label in path[:length])
            for path, length in zip(paths.tolist(), lengths, strict=True)
        ]
        certain = self.confidences(hidden, mask, paths, spans)
        return [list(map(FoundSpan, *both)) for both in zip(spans, certain, strict=True)]

    @torch.no_grad()
    def confidences(
        self,
        hidden: Tensor,
        mask: Tensor,
        labels: Tensor,
        spans: Sequence[Sequence[Span]],
        temperature: float = 1.0,
    ) -> list[list[float]]:
        """Return the joint probability of the labels of each span.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            labels: Label ids, `[B, T]`.
            spans: The spans of each sentence.
            temperature: As for `log_marginals`.
        """
        scores = self.scores(hidden, mask)
        found = self.span_log_probs(scores, mask, labels, spans, temperature)
        certain = iter(found.exp().tolist())
        return [[next(certain) for _ in own] for own in spans]

    def span_log_probs(
        self,
        scores: Tensor,
        mask: Tensor,
        labels: Tensor,
        spans: Sequence[Sequence[Span]],
        temperature: float = 1.0,
    ) -> Tensor:
        """Return the joint log-probability of the labels of each of N spans, `[N]`.

        Args:
            scores: The result of `scores`, `[B, T, K]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            labels: Label ids, `[B, T]`.
            spans: The spans of each sentence.
            temperature: As for `log_marginals`.
        """
        rows = torch.tensor(
            [[row, s.start, s.end] for row, own in enumerate(spans) for s in own],
            dtype=torch.long,
            device=mask.device,
        ).reshape(-1, 3)  # [N, 3]
        row, start, end = rows.unbind(1)
        positions = torch.arange(mask.shape[1], device=mask.device)
        inside = (positions >= start.unsqueeze(1)) & (positions < end.unsqueeze(1))  # [N, T]
        return self.log_prob_of(scores[row], mask[row], labels[row], inside, temperature)

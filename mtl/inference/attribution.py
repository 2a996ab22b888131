"""The weight of each word for an answer: gradients, integrated gradients and occlusion.

Each word t has a gate a_t that multiplies its vector x_t. An answer has a score s(a): the log-odds
of a label, a tag or a span, or a number. All methods are defined by the gates; 1 is the sentence
itself, and 0 the sentence without words.

    gradient × input       ∂s/∂a_t at a = 1, which equals x_t · ∂s/∂x_t (Simonyan et al. 2014)
    integrated gradients   ∫ ∂s/∂a_t (u 1) du for u from 0 to 1 (Sundararajan et al. 2017)
    occlusion              s(1) − s(1 with a_t = 0) (Zeiler and Fergus 2014)

The sum of integrated gradients is s(1) − s(0). The integral is computed by Gauss-Legendre
quadrature, in float64 like everything here, so the sum shows the error of the quadrature.

Letters: V variants of the gates, R rows (windows of a text, or sentences of a pair), T tokens of a
row, L tokens of the text, N answers, S scores, K labels, H width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mtl.data.windows import Window
from mtl.embeddings import EmbeddingOutput
from mtl.errors import MtlError, did_you_mean
from mtl.heads import Head, Tagger
from mtl.inference import process
from mtl.inference.cutting import Cutter
from mtl.inference.explanation import Attribution, Explanation, Method
from mtl.inference.inputs import Sentence
from mtl.inference.prediction import Prediction
from mtl.inference.predictor import Predictor
from mtl.inference.readouts import output_labels
from mtl.targets import Target
from mtl.text.example import Example

STEPS = 32
"""The number of points at which integrated gradients are evaluated."""
_SMALLEST = 1e-12
"""The least probability against a span in its log-odds, as rounding may leave none."""


def explain(
    predictor: Predictor,
    predictions: Iterable[Prediction],
    tasks: Sequence[str],
    by_sentence: Collection[str],
    method: Method,
    token: str | None = None,
    steps: int = STEPS,
) -> Iterator[Explanation]:
    """Return an iterator over explanations, one per prediction.

    Args:
        predictor: The predictor of one model, whose weights must not change meanwhile.
        predictions: Predictions of this model.
        tasks: The tasks to explain.
        by_sentence: The tasks that read each sentence of a text by itself.
        method: The method.
        token: Explain the tags of this word. None: each span of tasks with spans, and each tag of
            other taggers.
        steps: The number of points of integrated gradients.

    Raises:
        MtlError: The method is unknown, `steps` is less than 1, or no task has tags for `token`.
    """
    process.check(predictor.device)
    if token is not None and all(predictor.targets[task].level == "sentence" for task in tasks):
        raise MtlError(f"no task labels words, so {token!r} has no tags; leave out the token")
    explainer = _Explainer(predictor, method, token, steps)

    def explained(prediction: Prediction) -> Explanation:
        by_task = {
            task: explainer.attributions(prediction, task, task not in by_sentence)
            for task in tasks
        }
        return Explanation(prediction, by_task, method)

    return map(explained, predictions)


@dataclass(frozen=True)
class _Outputs:
    """The output of a head for V variants of a text.

    Args:
        head: The head.
        hidden: `[R V, T, H]`, all variants of the first row first.
        mask: `[R V, T]` bool.
        variants: V.
    """

    head: Head
    hidden: Tensor
    mask: Tensor
    variants: int

    def rows(self, row: int) -> slice:
        """Return the variants of a row."""
        return slice(row * self.variants, (row + 1) * self.variants)

    @cached_property
    def log_probs(self) -> Tensor:
        """The log-probabilities of the labels of tokens, `[R V, T, K]`."""
        return self.head.log_probs(self.hidden, self.mask)

    def of_token(self, row: int, position: int) -> Tensor:
        """Return the log-probabilities of the labels of the token at a place, `[V, K]`."""
        rows, head = self.rows(row), self.head
        if self.log_probs.requires_grad or not torch.is_grad_enabled():
            return self.log_probs[rows, position]
        # The marginals of a CRF have no gradient, but the likelihood of a set of paths has.
        assert isinstance(head, Tagger)
        mask, scores, columns = self.mask[rows], self.scores[rows], []
        chosen = torch.zeros_like(mask)
        chosen[:, position] = True
        for label in range(len(head.labels)):
            labels = torch.full_like(mask, label, dtype=torch.long)
            columns.append(head.log_prob_of(scores, mask, labels, chosen))
        return torch.stack(columns, dim=1)

    @cached_property
    def scores(self) -> Tensor:
        """The scores of a tagger, `[R V, T, S]`."""
        assert isinstance(self.head, Tagger)
        return self.head.scores(self.hidden, self.mask)

    @cached_property
    def evidence(self) -> Tensor:
        """The logits of the text, the mean over its windows, `[V, S]`."""
        logits = self.head.evidence(self.hidden, self.mask)
        return logits.reshape(-1, self.variants, logits.shape[-1]).mean(0)


_Score = Callable[[_Outputs], Tensor]
"""Returns the score of an answer, `[V]`."""


@dataclass(frozen=True)
class _Answer:
    """An answer to explain.

    Args:
        name: The label, the type of the span, or the number.
        tokens: Its tokens; None for the whole text.
        score: Its score.
    """

    name: str | float
    tokens: tuple[int, int] | None
    score: _Score


class _Text:
    """The rows in which the model reads a text.

    Args:
        sentence: The text, or a pair of sentences.
        windows: Its windows.
    """

    def __init__(self, sentence: Sentence, windows: Sequence[Window]) -> None:
        example, self.windows = sentence.example, windows
        self.length = len(example.tokens)
        self.examples = [
            Example(example.tokens[w.start : w.end], second=example.second) for w in windows
        ]
        second = example.second
        starts = [w.start for w in windows] if second is None else [0, second]
        sides = [e.tokens for e in self.examples] if second is None else example.texts
        width = max(map(len, sides))
        # Padding has no vector, so it may have the gate of any token.
        rows = [[min(s + t, self.length - 1) for t in range(width)] for s in starts]
        self.index = torch.tensor(rows)
        """The token of the text at each place, `[R, T]`."""

    def place(self, token: int) -> tuple[int, int]:
        """Return the row whose prediction counts for a token, and the place of the token in it."""
        for row, w in enumerate(self.windows):
            if w.keep_start <= token < w.keep_end:
                return row, token - w.start
        raise AssertionError(token)


class _Explainer:
    """Explains predictions by a copy of the model in float64."""

    def __init__(self, predictor: Predictor, method: Method, token: str | None, steps: int) -> None:
        if method not in get_args(Method):
            raise MtlError(f"method: {method!r} is unknown{did_you_mean(method, get_args(Method))}")
        if steps < 1:
            raise MtlError(f"steps: expected at least 1, got {steps}")
        self._batcher = predictor.batcher
        self._targets, self._schemes = predictor.targets, predictor.schemes
        self._cutter = Cutter(predictor.max_length, predictor.overlap, predictor.max_tokens)
        # The MPS device has no float64.
        device = predictor.device if predictor.device.type != "mps" else torch.device("cpu")
        self._device = device
        model = copy.deepcopy(predictor.model).to(device, torch.float64)
        self._model = model.eval().requires_grad_(False)
        self._token, self._steps = token, steps
        self._weigh = {
            "gradient": self._gradient,
            "integrated": self._integrated,
            "occlusion": self._occlusion,
        }[method]
        self._complete = method == "integrated"

    def attributions(self, prediction: Prediction, task: str, whole: bool) -> list[Attribution]:
        """Return the attributions of the answers of a task.

        Args:
            prediction: The prediction.
            task: The task.
            whole: Whether the task reads a text as a whole, and not sentence by sentence.
        """
        if prediction.is_blank:
            return []
        sentence = prediction.sentence
        text = _Text(sentence, self._cutter.windows(sentence, whole))
        answers = self._answers(prediction, task, text)
        if not answers:
            return []
        compute = partial(self._scores, text, task, [answer.score for answer in answers])
        ones = torch.ones(1, text.length, dtype=torch.float64, device=self._device)
        score = self._values(text, compute, ones)[0]  # [N]
        weights = self._weigh(text, compute, ones)  # [N, L]
        base = self._values(text, compute, 0 * ones)[0] if self._complete else None
        found = []
        for n, answer in enumerate(answers):
            row = weights[n].tolist()
            second = sentence.example.second
            pair = None if second is None else tuple(row[second:])
            baseline = gap = None
            if base is not None:
                baseline = base[n].item()
                gap = sum(row) - (score[n].item() - baseline)
            own = tuple(row[:second])
            found.append(
                Attribution(answer.name, answer.tokens, score[n].item(), own, pair, baseline, gap)
            )
        return found

    # ---- methods: each returns weights `[N, L]`

    def _gradient(self, text: _Text, compute: Callable[[Tensor], Tensor], ones: Tensor) -> Tensor:
        return self._gradients(text, compute, ones, [1.0])

    def _integrated(self, text: _Text, compute: Callable[[Tensor], Tensor], ones: Tensor) -> Tensor:
        points, weights = np.polynomial.legendre.leggauss(self._steps)  # on the interval −1 to 1
        gates = torch.from_numpy((points + 1) / 2).to(ones).unsqueeze(1) * ones
        return self._gradients(text, compute, gates, (weights / 2).tolist())

    def _occlusion(self, text: _Text, compute: Callable[[Tensor], Tensor], ones: Tensor) -> Tensor:
        without = self._values(text, compute, ones - torch.eye(text.length).to(ones))  # [L, N]
        return (self._values(text, compute, ones) - without).T

    # ---- scores and gradients, a batch of variants at a time

    def _values(self, text: _Text, compute: Callable[[Tensor], Tensor], gates: Tensor) -> Tensor:
        """Return the scores of variants, `[V, N]`."""
        with torch.no_grad():
            return torch.cat([compute(part) for part in self._parts(text, gates)])

    def _gradients(
        self,
        text: _Text,
        compute: Callable[[Tensor], Tensor],
        gates: Tensor,
        weights: Sequence[float],
    ) -> Tensor:
        """Return the weighted sum of gradients over V variants, `[N, L]`."""
        sums: Tensor | None = None
        factors = torch.tensor(weights, dtype=gates.dtype, device=gates.device)
        batches = zip(self._parts(text, gates), self._parts(text, factors), strict=True)
        for part, factor in batches:
            with torch.enable_grad():
                leaf = part.clone().requires_grad_()
                scores = factor @ compute(leaf)  # [N]
                rows = [torch.autograd.grad(s, leaf, retain_graph=True)[0].sum(0) for s in scores]
            own = torch.stack(rows)
            sums = own if sums is None else sums + own
        assert sums is not None
        return sums

    def _batch(self, text: _Text) -> int:
        """Return the number of variants of a text that fit into a batch."""
        return max(1, self._cutter.max_tokens // text.index.numel())

    def _parts(self, text: _Text, gates: Tensor) -> Sequence[Tensor]:
        return torch.split(gates, self._batch(text))

    def _scores(self, text: _Text, task: str, scores: Sequence[_Score], gates: Tensor) -> Tensor:
        """Return the scores of the answers, `[V, N]`, for gates `[V, L]`."""
        outputs = self._outputs(text, task, gates)
        return torch.stack([score(outputs) for score in scores], dim=1)

    def _outputs(self, text: _Text, task: str, gates: Tensor) -> _Outputs:
        count = len(gates)
        examples = [example for example in text.examples for _ in range(count)]
        batch = self._batcher.batch(examples).to(self._device)
        embedded = self._model.embed(batch.features, batch.mask)
        rows = gates[:, text.index.to(self._device)].transpose(0, 1).flatten(0, 1)  # [R V, T]
        gated = _gated(embedded, rows, self._model.embedding.head_size)
        # cuDNN computes gradients of recurrent layers in training mode only.
        with torch.backends.cudnn.flags(enabled=False):
            hidden = self._model.encode_vectors(gated, [task]).hidden[task]
        return _Outputs(self._model.head(task), hidden, batch.mask, count)

    # ---- answers

    def _answers(self, prediction: Prediction, task: str, text: _Text) -> list[_Answer]:
        target, head, value = self._targets[task], self._model.head(task), prediction[task].labels
        if target.level == "sentence":
            ways = _ways(head, target, value, _of_text)
            return [_Answer(name, None, score) for name, score in ways]
        assert isinstance(value, tuple)
        if target.values in ("sets", "numbers", "distributions"):
            return [
                _Answer(name, (token, token + 1), score)
                for token in self._chosen(prediction)
                for name, score in _ways(
                    head, target, value[token], partial(_of_token, text.place(token))
                )
            ]
        path = self._path(task, text)
        if self._token is None and task in prediction.spans:
            return [
                _Answer(span.type, span.tokens, partial(_span_log_odds, text, path, span.tokens))
                for span in prediction.spans[task]
            ]
        names = output_labels(head.labels, self._schemes.get(task))
        found = []
        for token in self._chosen(prediction):
            row, position = text.place(token)
            label = names[int(path[row, position])]
            chosen = torch.tensor([name == label for name in names], device=self._device)
            score = partial(_tag_log_odds, row, position, chosen)
            found.append(_Answer(str(value[token]), (token, token + 1), score))
        return found

    def _chosen(self, prediction: Prediction) -> list[int]:
        """Return the tokens whose tags are explained."""
        words = enumerate(prediction.tokens)
        return [token for token, word in words if self._token in (None, word)]

    def _path(self, task: str, text: _Text) -> Tensor:
        """Return the label ids of each row of a text, `[R, T]`."""
        ones = torch.ones(1, text.length, dtype=torch.float64, device=self._device)
        with torch.no_grad():
            outputs = self._outputs(text, task, ones)
            return outputs.head.decode(outputs.hidden, outputs.mask)


def _gated(embedded: EmbeddingOutput, gates: Tensor, beside: int) -> EmbeddingOutput:
    """Return the output of an embedding with the vectors of words multiplied by gates.

    Args:
        embedded: The output.
        gates: `[B, T]`, one per word.
        beside: The number of features that `to_words` appends to the hidden states.
    """
    by_position = gates
    if embedded.words is not None:  # special tokens have no gate
        by_position = functional.pad(gates, (1, 0), value=1.0).gather(1, embedded.words)

    def to_words(hidden: Tensor) -> Tensor:
        states = embedded.to_words(hidden)
        if not beside:
            return states
        own, further = states[..., :-beside], states[..., -beside:]
        return torch.cat([own, further * gates.unsqueeze(2)], dim=2)

    vectors = embedded.vectors * by_position.unsqueeze(2)
    return embedded._replace(vectors=vectors, to_words=to_words, gates=gates)


def _ways(
    head: Head, target: Target, value: object, outputs: Callable[[str, _Outputs], Tensor]
) -> list[tuple[str | float, _Score]]:
    """Return the answers in a value that is not a tag, and their scores.

    Args:
        head: The head.
        target: The target.
        value: A label, a set of labels, a number, or a distribution.
        outputs: Returns the numbers `[V]` or the log-probabilities `[V, K]`.
    """
    if target.values == "numbers":
        return [(cast("float", value), partial(outputs, "number"))]
    if target.values == "sets":
        return [
            (label, partial(_member_log_odds, outputs, head.labels.index(label)))
            for label in sorted(cast("frozenset[str]", value))
        ]
    label = cast("str", value)
    if isinstance(value, dict):
        label = max(value, key=value.__getitem__)
    chosen = torch.tensor([name == label for name in head.labels])
    return [(label, lambda own: _log_odds(outputs("labels", own), chosen.to(own.mask.device)))]


def _of_text(kind: str, outputs: _Outputs) -> Tensor:
    """Return the number of a text, `[V]`, or the log-probabilities of its labels, `[V, K]`."""
    head, evidence = outputs.head, outputs.evidence
    return head.conclude(evidence) if kind == "number" else head.log_probs_from(evidence)


def _of_token(place: tuple[int, int], kind: str, outputs: _Outputs) -> Tensor:
    """Return the number of a token, `[V]`, or the log-probabilities of its labels, `[V, K]`."""
    row, position = place
    head = outputs.head
    assert isinstance(head, Tagger)
    assert head.objective is not None
    scores = outputs.scores[outputs.rows(row), position]
    return head.objective.decode(scores) if kind == "number" else head.objective.log_probs(scores)


def _tag_log_odds(row: int, position: int, chosen: Tensor, outputs: _Outputs) -> Tensor:
    """Return the log-odds of the tag of the token at a place, `[V]`."""
    return _log_odds(outputs.of_token(row, position), chosen)


def _log_odds(log_probs: Tensor, chosen: Tensor) -> Tensor:
    """Return the log-odds of some labels against the others, `[V]`; 0 if all labels are chosen.

    Args:
        log_probs: `[V, K]`.
        chosen: `[K]` bool.
    """
    own = log_probs[:, chosen].logsumexp(1)
    # Not from 1 − p, which would be 0 for a p near 1.
    return own if chosen.all() else own - log_probs[:, ~chosen].logsumexp(1)


def _member_log_odds(
    outputs: Callable[[str, _Outputs], Tensor], label: int, own: _Outputs
) -> Tensor:
    """Return the log-odds that a set has a label, `[V]`."""
    return _odds(outputs("labels", own)[:, label])


def _span_log_odds(text: _Text, path: Tensor, tokens: tuple[int, int], outputs: _Outputs) -> Tensor:
    """Return the log-odds of the labels of a span, `[V]`.

    Windows are read independently, so the probability of a span across windows is the product of
    the probabilities of its parts.
    """
    head, (start, end) = outputs.head, tokens
    assert isinstance(head, Tagger)
    log_probs = torch.zeros((), dtype=torch.float64, device=path.device)
    for row, w in enumerate(text.windows):
        first, last = max(start, w.keep_start), min(end, w.keep_end)
        if first < last:
            rows = outputs.rows(row)
            mask = outputs.mask[rows]
            chosen = torch.zeros_like(mask)
            chosen[:, first - w.start : last - w.start] = True
            labels = path[row].expand(outputs.variants, -1)
            own = head.log_prob_of(outputs.scores[rows], mask, labels, chosen)
            log_probs = log_probs + own
    return _odds(log_probs)


def _odds(log_probs: Tensor) -> Tensor:
    """Return log p − log(1 − p)."""
    return log_probs - (-torch.expm1(log_probs)).clamp(min=_SMALLEST).log()

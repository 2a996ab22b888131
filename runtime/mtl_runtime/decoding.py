"""Values and confidences from the scores of a network.

Letters: B windows, T tokens, K labels, N sentences, S logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mtl_runtime import kernels
from mtl_runtime._mtl.data.windows import Window
from mtl_runtime._mtl.inference.task_prediction import Readout
from mtl_runtime._mtl.text.spans import (
    OUTSIDE,
    SCHEMES,
    FoundSpan,
    Scheme,
    join_tag,
    parse_tag,
    read_spans,
)
from mtl_runtime.forms import Form, Kind

Confidence = Literal["softmax", "marginals", "sigmoid", "none"]
Scores = NDArray[np.float32]
_TINY = np.finfo(np.float32).tiny


def log_softmax(scores: NDArray[Any]) -> NDArray[Any]:
    """Return the log-probabilities along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: NDArray[Any] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def sigmoid(scores: NDArray[Any]) -> NDArray[Any]:
    """Return 1 / (1 + exp(−x)), without overflow."""
    small = np.exp(-np.abs(scores))
    result: NDArray[Any] = np.where(scores >= 0, 1, small) / (1 + small)
    return result


class Decoder:
    """Reads the scores of one task.

    Args:
        task: The description of the task in the bundle.
        tensors: The tensors of the bundle.
    """

    def __init__(self, task: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        _check(task)
        self.form = Form(task["form"], task["level"], tuple(task["labels"]))
        self.labels = self.form.labels
        self.scheme: Scheme | None = task["scheme"]
        self.has_spans = self.scheme is not None
        self.confidence: Confidence = task["confidence"]
        # Bundles of earlier versions have no temperature.
        self._temperature = np.float32(task.get("temperature", 1.0))
        self._span_temperature = np.float32(task.get("span_temperature", 1.0))
        self._names = np.array(self.labels, dtype=object)
        self._thresholds = tensors[task["thresholds"]] if task["thresholds"] else 0.5
        scale: Sequence[float] = task["scale"] or (0.0, 1.0)
        self._mean, self._deviation = scale
        self.padding = tensors[task["padding"]] if task["level"] == "sentence" else None
        decode = task["decode"]
        self._steps: tuple[Scores, Scores, Scores] | None = None
        if decode["kind"] == "viterbi":
            transitions, start, end = (tensors[decode[n]] for n in ("transitions", "start", "end"))
            self._steps = transitions, start, end
        self.tags = task["level"] == "token" and self.form.kind == "label"
        self._converted = self._bio_tags() if self.tags and self.scheme == "bio" else None
        # Labels of the output scheme, and the index of the one of each label.
        outputs = [_bio(tag) for tag in self.labels] if self.scheme == "bio" else list(self.labels)
        self.outputs = list(dict.fromkeys(outputs))
        place = {label: number for number, label in enumerate(self.outputs)}
        self._targets = np.array([place[label] for label in outputs], dtype=np.intp)

    # ---- one value per token

    def paths(self, scores: Scores, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the best label ids, `[B, T]`, from scores `[B, T, K]`; any on padding."""
        ids: NDArray[np.int64] = (
            scores.argmax(2) if self._steps is None else kernels.viterbi(scores, *self._steps, mask)
        )
        return ids

    def whole_tags(self, ids: NDArray[np.int64]) -> list[list[str]] | None:
        """Return the tags of whole sentences in the output scheme, `[B, T]`.

        None if they have to be converted one sentence at a time.
        """
        if self.scheme is None:
            names: list[list[str]] = self._names[ids].tolist()
            return names
        if self._converted is None:
            return None
        kinds, continued, tags = self._converted
        # A BIO tag depends on no other neighbour than the one before; see `read_spans`.
        before = np.zeros_like(ids)
        before[:, 1:] = continued[ids[:, :-1]]
        inside = (before == kinds[ids]) & (before > 0)
        found: list[list[str]] = tags[inside.astype(np.intp), ids].tolist()
        return found

    def _bio_tags(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.object_]]:
        """Return the arrays from which the BIO tags of a label sequence are computed, for K labels.

        Returns:
            The kind of span that each label may continue, the kind that may continue after it, 0
            for none, and the tags of labels that continue no span and of those that do, `[2, K]`.
        """
        parsed = [parse_tag(tag) for tag in self.labels]
        numbers = {kind: n for n, kind in enumerate(dict.fromkeys(kind for _, kind in parsed), 1)}
        tags = [
            [tag if tag == OUTSIDE else join_tag(prefix, kind) for tag, kind in parsed]
            for prefix in "BI"
        ]
        return (
            np.array([numbers[kind] if tag in ("I", "E") else 0 for tag, kind in parsed]),
            np.array([numbers[kind] if tag in ("B", "I") else 0 for tag, kind in parsed]),
            np.array(tags, dtype=object),
        )

    def read(
        self,
        scores: Scores,
        mask: NDArray[np.bool_],
        windows: Sequence[Window],
        *,
        confidence: bool,
    ) -> list[Readout]:
        """Return the values of the tokens that each window keeps.

        Args:
            scores: `[B, T, K]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
            windows: The B windows.
            confidence: Whether to compute probabilities.
        """
        kept = [window.kept_inside for window in windows]
        if self.tags:
            return self._read_tags(scores, mask, kept, confidence)
        values = [self._named(row[part]) for row, part in zip(scores, kept, strict=True)]
        if not confidence:
            return [Readout(row) for row in values]
        certain = [
            self._certain(row, own[part])
            for row, own, part in zip(values, scores, kept, strict=True)
        ]
        return [Readout(row, confidence=own) for row, own in zip(values, certain, strict=True)]

    def _read_tags(
        self, scores: Scores, mask: NDArray[np.bool_], kept: Sequence[slice], confidence: bool
    ) -> list[Readout]:
        ids = self.paths(scores, mask)
        tags = [row[part] for row, part in zip(self._names[ids].tolist(), kept, strict=True)]
        if not confidence:
            return [Readout(row) for row in tags]
        chosen = self._targets[ids][..., None]
        certain = np.take_along_axis(self.probabilities(scores, mask), chosen, axis=2)
        readouts = [
            Readout(row, confidence=own[part])
            for row, own, part in zip(tags, certain[..., 0].tolist(), kept, strict=True)
        ]
        if not self.has_spans:
            return readouts
        spans = [read_spans(row) for row in tags]
        # The positions of spans count from the first kept token of their window.
        places = [
            (row, span.start + part.start, span.end + part.start)
            for row, (own, part) in enumerate(zip(spans, kept, strict=True))
            for span in own
        ]
        if not places:
            return readouts
        rest = iter(self._span_confidences(scores, mask, ids, np.array(places)))
        return [
            readout._replace(spans=[FoundSpan(span, next(rest)) for span in own])
            for readout, own in zip(readouts, spans, strict=True)
        ]

    def probabilities(self, scores: Scores, mask: NDArray[np.bool_]) -> NDArray[Any]:
        """Return the probabilities of the output labels, `[B, T, K]`; anything on padding."""
        scores = scores / self._temperature
        if self.confidence == "marginals":
            found: NDArray[Any] = kernels.marginals(
                scores, *self._divided_steps(self._temperature), mask
            )
            found = np.maximum(found, _TINY)
        else:
            found = np.exp(log_softmax(scores))
        if len(self.outputs) < len(self.labels):
            sums = np.zeros((*found.shape[:2], len(self.outputs)), found.dtype)
            for label, target in enumerate(self._targets.tolist()):
                sums[..., target] += found[..., label]
            found = sums
        # Rounding can bring a sum slightly above 1.
        found = np.minimum(found, 1)
        return found

    def _span_confidences(
        self,
        scores: Scores,
        mask: NDArray[np.bool_],
        ids: NDArray[np.int64],
        places: NDArray[np.int64],
    ) -> list[float]:
        """Return the joint probability of the labels of each span: row, start and end."""
        rows, starts, ends = places.T
        positions = np.arange(mask.shape[1])
        inside = (positions >= starts[:, None]) & (positions < ends[:, None])
        labels = ids[rows]
        scores = scores / self._span_temperature
        if self.confidence != "marginals":
            own = np.take_along_axis(log_softmax(scores)[rows], labels[..., None], axis=2)[..., 0]
            logarithms = np.where(inside, own, 0).sum(1, dtype=np.float32)
        else:
            steps = self._divided_steps(self._span_temperature)
            # Scores add up over a document, and the difference of two large sums is inexact.
            scores = scores - scores.max(axis=2, keepdims=True)
            other = inside[..., None] & (labels[..., None] != np.arange(len(self.labels)))
            possible = np.where(other, np.float32(-np.inf), scores[rows])
            some, row_of = np.unique(rows, return_inverse=True)
            every = kernels.log_partition(scores[some], *steps, mask[some])
            logarithms = kernels.log_partition(possible, *steps, mask[rows]) - every[row_of]
            logarithms = np.minimum(logarithms, 0)
        certain: list[float] = np.exp(logarithms).tolist()
        return certain

    def _divided_steps(self, temperature: np.float32) -> list[Scores]:
        """Return transitions, start and end, divided by a temperature."""
        assert self._steps is not None
        return [own / temperature for own in self._steps]

    def label_probabilities(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Return the probabilities of the labels of sentences, `[N, K]`, from logits `[N, K]`."""
        found: NDArray[Any] = np.exp(log_softmax(logits / self._temperature))
        return found

    # ---- one value per sentence

    def conclude(self, logits: Scores, *, confidence: bool) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the values of N sentences, and their confidences, from logits `[N, S]`."""
        values = self._named(logits)
        return values, self._certain(values, logits) if confidence else [None] * len(values)

    # ---- rows of scores

    def _named(self, scores: Scores) -> Sequence[Any]:
        """Return the values of rows of scores, `[N, S]`."""
        if self.form.kind == "number":
            numbers: list[float] = (self._mean + self._deviation * scores[:, 0]).tolist()
            return numbers
        if self.form.kind == "set":
            chosen = sigmoid(scores) > self._thresholds
            return [frozenset(self._names[row].tolist()) for row in chosen]
        if self.form.kind == "distribution":
            return self._by_label(np.exp(log_softmax(scores)))
        named: list[str] = self._names[scores.argmax(1)].tolist()
        return named

    def _certain(self, values: Sequence[Any], scores: Scores) -> Sequence[Any]:
        """Return the confidence of each value; None for numbers and distributions."""
        if self.form.kind == "set":
            return self._by_label(sigmoid(scores / self._temperature))
        if self.form.kind == "label":
            probabilities = self.label_probabilities(scores)
            own: list[float] = probabilities[np.arange(len(scores)), scores.argmax(1)].tolist()
            return own
        return [None] * len(values)

    def _by_label(self, rows: NDArray[Any]) -> list[dict[str, float]]:
        return [dict(zip(self.labels, row, strict=True)) for row in rows.tolist()]


def _check(task: Mapping[str, Any]) -> None:
    """Raise ValueError if the description of a task has unknown values."""
    known: Mapping[str, Sequence[Any]] = {
        "form": get_args(Kind),
        "level": ("token", "sentence"),
        "unit": ("sentence", "record"),
        "scheme": (None, *SCHEMES),
        "confidence": get_args(Confidence),
        "pairs": (False, True),
        "derived": (False, True),
    }
    for name, values in known.items():
        if task[name] not in values:
            raise ValueError(f"unknown {name} {task[name]!r}")
    if task["decode"]["kind"] not in ("argmax", "viterbi"):
        raise ValueError(f"unknown search {task['decode']['kind']!r}")
    for name in ("temperature", "span_temperature"):
        number = task.get(name, 1.0)
        if type(number) not in (int, float) or not 0 < number < math.inf:
            raise ValueError(f"{name}: expected a number above 0, got {number!r}")
    labels = task["labels"]
    if not all(isinstance(label, str) for label in labels):
        raise ValueError("expected labels that are strings")
    if not labels and task["form"] != "number":
        raise ValueError("expected labels")


def _bio(tag: str) -> str:
    """Return the BIO tag of a tag, regardless of its neighbours."""
    prefix, kind = parse_tag(tag)
    return join_tag({"S": "B", "E": "I"}.get(prefix, prefix), kind)

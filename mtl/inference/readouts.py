"""Outputs of a head for windows of sentences.

Letters: B windows, T tokens, H width, K labels, N attention weightings, S logits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mtl.data.windows import Window
from mtl.heads import Head, Tagger
from mtl.inference.task_prediction import Path, Readout
from mtl.inference.temperature import NEUTRAL, Temperatures
from mtl.targets import Objective, Target
from mtl.text.spans import FoundSpan, Scheme, Span, convert, join_tag, parse_tag, read_spans

_PER_PATH = 4
"""The number of sequences of tags that are computed for each one that is returned."""


def read_head(
    head: Head,
    target: Target,
    hidden: Tensor,
    mask: Tensor,
    windows: Sequence[Window],
    *,
    confidence: bool = False,
    scheme: Scheme | None = None,
    attention: bool = False,
    temperature: Temperatures = NEUTRAL,
    n_best: int = 0,
    allowed: Tensor | None = None,
) -> list[Readout]:
    """Return the output of a head for each window.

    Args:
        head: The head. It must have attention if attention is requested.
        target: The target of the task.
        hidden: Hidden states, `[B, T, H]`; for pairs `[2 B, T, H]`, first sentences, then second
            ones.
        mask: `[B, T]` or `[2 B, T]` bool, True on real tokens, which come first.
        windows: The B windows.
        confidence: Whether to compute the probabilities of tags.
        scheme: The output scheme of span tags. If set, span confidences are computed too. If the
            head uses IOBES and the output is BIO, the probability of a BIO tag is the sum over the
            corresponding IOBES tags.
        attention: Whether to compute attention weights.
        temperature: The temperature of the probabilities.
        n_best: The number of most probable label sequences to return; for taggers.
        allowed: The labels that each token may have, `[B, T, K]` bool; None: any.
    """
    if target.level == "sentence":
        readouts = [Readout(logits=row) for row in head.evidence(hidden, mask)]
    elif isinstance(head, Tagger) and head.objective is not None:
        readouts = _read_values(
            head, head.objective, target, hidden, mask, windows, confidence, temperature
        )
    else:
        paths = None
        if isinstance(head, Tagger) and (n_best or allowed is not None):
            # Several sequences of the head may have the same spans, or differ only in tokens that a
            # window does not keep; `_distinct` keeps one of them.
            several = scheme or any((w.keep_start, w.keep_end) != (w.start, w.end) for w in windows)
            number = max(1, n_best * _PER_PATH if several else n_best)
            paths = head.n_best(hidden, mask, number, allowed, temperature.labels)
        ids = head.decode(hidden, mask) if paths is None else paths[0][:, 0]
        readouts = _read_tags(head, hidden, mask, ids, windows, confidence, scheme, temperature)
        if n_best and paths is not None:
            kept = [window.kept_inside for window in windows]
            rows = zip(readouts, _paths(head, *paths), kept, strict=True)
            readouts = [
                readout._replace(
                    paths=_distinct([Path(own[part], p) for own, p in found], scheme)[:n_best]
                )
                for readout, found, part in rows
            ]
    if attention:
        weights = _attention(head, hidden, mask)
        # For pairs, the second sentence of window i is row i + B.
        count = len(windows)
        readouts = [
            readout._replace(attention=weights[row::count]) for row, readout in enumerate(readouts)
        ]
    return readouts


def _read_values(
    head: Tagger,
    objective: Objective,
    target: Target,
    hidden: Tensor,
    mask: Tensor,
    windows: Sequence[Window],
    confidence: bool,
    temperature: Temperatures,
) -> list[Readout]:
    """Return the outputs of a head that predicts sets, numbers or distributions per token."""
    decoded = head.decode(hidden, mask)
    kept = [window.kept_inside for window in windows]
    values = [objective.named(row[part]) for row, part in zip(decoded, kept, strict=True)]
    if not confidence:
        return [Readout(row) for row in values]
    probabilities = token_log_probs(head, hidden, mask, temperature.labels).exp()
    by_token = [row[part].tolist() for row, part in zip(probabilities, kept, strict=True)]
    return [
        Readout(
            row,
            confidence=[
                target.confidence(value, dict(zip(head.labels, token, strict=True)))
                for value, token in zip(row, tokens, strict=True)
            ],
        )
        for row, tokens in zip(values, by_token, strict=True)
    ]


def _read_tags(
    head: Head,
    hidden: Tensor,
    mask: Tensor,
    ids: Tensor,
    windows: Sequence[Window],
    confidence: bool,
    scheme: Scheme | None,
    temperature: Temperatures,
) -> list[Readout]:
    kept = [window.kept_inside for window in windows]
    # One look-up for the batch: a loop over tokens would take most of the time of prediction.
    named = np.array(head.labels, dtype=object)[ids.cpu().numpy()].tolist()
    tags = [row[part] for row, part in zip(named, kept, strict=True)]
    if not confidence:
        return [Readout(row) for row in tags]
    by_token = _tag_probabilities(head, hidden, mask, ids, scheme, temperature.labels).tolist()
    readouts = [
        Readout(row, confidence=probabilities[part])
        for row, probabilities, part in zip(tags, by_token, kept, strict=True)
    ]
    if not (scheme and isinstance(head, Tagger)):
        return readouts
    spans = [read_spans(row) for row in tags]
    # `confidences` counts from the start of the window, `spans` from its first kept token.
    shifted = [
        [Span(kind, start + part.start, end + part.start) for kind, start, end in row]
        for row, part in zip(spans, kept, strict=True)
    ]
    confidences = head.confidences(hidden, mask, ids, shifted, temperature.spans)
    return [
        readout._replace(spans=list(map(FoundSpan, row, probabilities)))
        for readout, row, probabilities in zip(readouts, spans, confidences, strict=True)
    ]


def _paths(head: Head, ids: Tensor, log_probs: Tensor) -> list[list[tuple[list[str], float]]]:
    """Return the label sequences of each window that exist, and their probabilities."""
    named = np.array(head.labels, dtype=object)[ids.cpu().numpy()].tolist()
    return [
        [(path, p) for path, p in zip(paths, probabilities, strict=True) if p > 0]
        for paths, probabilities in zip(named, log_probs.exp().tolist(), strict=True)
    ]


def _distinct(paths: Sequence[Path], scheme: Scheme | None) -> list[Path]:
    """Return the paths whose tags differ in the output scheme, each with its likeliest form."""
    kept: dict[tuple[str, ...], Path] = {}
    for path in paths:
        kept.setdefault(tuple(convert(path.labels, scheme) if scheme else path.labels), path)
    return list(kept.values())


def token_log_probs(head: Head, hidden: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Return the log-probabilities of the labels of tokens, `[B, T, K]`, at a temperature.

    Args:
        head: The head; only a `Tagger` may have a temperature other than 1.
        hidden: `[B, T, H]`.
        mask: `[B, T]` bool, True on real tokens, which come first.
        temperature: The scores are divided by it.
    """
    if temperature == 1:
        return head.log_probs(hidden, mask)
    assert isinstance(head, Tagger)
    return head.log_marginals(head.scores(hidden, mask), mask, temperature)


def _tag_probabilities(
    head: Head,
    hidden: Tensor,
    mask: Tensor,
    ids: Tensor,
    scheme: Scheme | None,
    temperature: float,
) -> Tensor:
    """Return the probability of each predicted label, `[B, T]`, in the output scheme."""
    probabilities = token_log_probs(head, hidden, mask, temperature).exp()  # [B, T, K]
    labels, sums = label_probabilities(head, probabilities, scheme)
    index = {label: position for position, label in enumerate(labels)}
    targets = torch.tensor(
        [index[label] for label in output_labels(head.labels, scheme)], device=ids.device
    )
    return sums.gather(2, targets[ids].unsqueeze(2)).squeeze(2)


def label_probabilities(
    head: Head, probabilities: Tensor, scheme: Scheme | None
) -> tuple[list[str], Tensor]:
    """Return the labels of the output scheme, and their probabilities.

    Args:
        head: The head.
        probabilities: The probabilities of its labels, `[B, T, K]`.
        scheme: The output scheme.
    """
    outputs = output_labels(head.labels, scheme)
    index = {label: position for position, label in enumerate(dict.fromkeys(outputs))}
    targets = torch.tensor([index[label] for label in outputs], device=probabilities.device)
    sums = probabilities.new_zeros(*probabilities.shape[:2], len(index))
    # Rounding can bring a sum slightly above 1.
    return list(index), sums.index_add(2, targets, probabilities).clamp(max=1)


def output_labels(labels: Sequence[str], scheme: Scheme | None) -> Sequence[str]:
    """Return the label in the output scheme for each label of a head."""
    return [_bio(label) for label in labels] if scheme == "bio" else labels


def _bio(tag: str) -> str:
    """Return the BIO tag of an IOBES tag, regardless of its neighbours."""
    prefix, kind = parse_tag(tag)
    return join_tag({"S": "B", "E": "I"}.get(prefix, prefix), kind)


def _attention(head: Head, hidden: Tensor, mask: Tensor) -> list[Tensor]:
    """Return the attention weights of each sentence, `[N, T]` or `[N, T, T]`, without padding."""
    weights = head.attention_weights(hidden, mask)
    assert weights is not None
    lengths = mask.sum(1).tolist()
    rows = zip(weights.cpu(), lengths, strict=True)
    return [row[..., :n] if row.ndim == 2 else row[:, :n, :n] for row, n in rows]

"""What a head says of windows of texts. Letters: B windows, T tokens, H width, N, S."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mtl.data.windows import Window
from mtl.heads import FoundSpan, Head, Tagger
from mtl.text.spans import Span, read_spans


@dataclass(frozen=True, slots=True)
class Reading:
    """What a head says of one window.

    Args:
        tags: The tags of the tokens that are kept (taggers).
        evidence: `[S]` (heads whose labels belong to sentences).
        confidence: The probability of each of the tags, where it was asked for.
        spans: Those that the tags describe, counted from the first token that is kept, likewise.
        attention: The weights in each sentence, `[N, T]` or `[N, T, T]`: one, or of a pair two.
    """

    tags: Sequence[str] = ()
    evidence: Tensor | None = None
    confidence: Sequence[float] = ()
    spans: Sequence[FoundSpan] = ()
    attention: Sequence[Tensor] = ()


def read(
    head: Head,
    hidden: Tensor,
    mask: Tensor,
    windows: Sequence[Window],
    *,
    confidence: bool = False,
    spans: bool = False,
    attention: bool = False,
) -> list[Reading]:
    """Return what a head says of each window.

    Args:
        head: The head, which has attention if that is wanted.
        hidden: What it reads, `[B, T, H]`; of pairs `[2 B, T, H]`, first and then second sentences.
        mask: `[B, T]` or `[2 B, T]` bool, True on real tokens, which come first.
        windows: The B windows.
        confidence: Whether to say how probable tags are.
        spans: Whether tags describe spans, and these, too, are to have a probability.
        attention: Whether to say where the head looks.
    """
    if head.level == "sentence":
        readings = [Reading(evidence=own) for own in head.evidence(hidden, mask)]
    else:
        readings = _tagged(head, hidden, mask, windows, confidence, spans)
    if attention:
        weights = _weights(head, hidden, mask)
        count = len(windows)
        readings = [replace(own, attention=weights[row::count]) for row, own in enumerate(readings)]
    return readings


def _tagged(
    head: Head,
    hidden: Tensor,
    mask: Tensor,
    windows: Sequence[Window],
    confidence: bool,
    spans: bool,
) -> list[Reading]:
    ids = head.decode(hidden, mask)
    kept = [slice(w.keep_start - w.start, w.keep_end - w.start) for w in windows]
    paths = zip(ids.tolist(), kept, strict=True)
    tags = [[head.labels[label] for label in path[part]] for path, part in paths]
    if not confidence:
        return [Reading(own) for own in tags]
    log_probs = head.log_probs(hidden, mask).gather(2, ids.unsqueeze(2)).squeeze(2)  # [B, T]
    rows = zip(tags, log_probs.exp().tolist(), kept, strict=True)
    readings = [Reading(own, confidence=certain[part]) for own, certain, part in rows]
    if not (spans and isinstance(head, Tagger)):
        return readings
    described = [read_spans(own) for own in tags]
    placed = [
        [Span(kind, start + part.start, end + part.start) for kind, start, end in own]
        for own, part in zip(described, kept, strict=True)
    ]
    found = head.confidences(hidden, mask, ids, placed)
    return [
        replace(reading, spans=list(map(FoundSpan, own, certain)))
        for reading, own, certain in zip(readings, described, found, strict=True)
    ]


def _weights(head: Head, hidden: Tensor, mask: Tensor) -> list[Tensor]:
    """Return the weights in each sentence, `[N, T]` or `[N, T, T]`, without padding."""
    weights = head.attention_weights(hidden, mask)
    assert weights is not None
    lengths = mask.sum(1).tolist()
    rows = zip(weights.cpu(), lengths, strict=True)
    return [own[..., :n] if own.ndim == 2 else own[:, :n, :n] for own, n in rows]


def mean_evidence(head: Head, texts: Sequence[Sequence[Reading]], of_no_token: Tensor) -> Tensor:
    """Return the mean evidence for each text, `[N, S]`.

    Args:
        head: A head whose labels belong to sentences.
        texts: What it says of the windows of each text, some of which may have none.
        of_no_token: What it reads of a sentence without tokens, `[1, 1, H]`; of a pair `[2, 1, H]`.
    """
    default = head.evidence(of_no_token, of_no_token[..., 0] > 0)  # [1, S]
    evidence = [own.evidence for text in texts for own in text if own.evidence is not None]
    if not evidence:
        return default.expand(len(texts), -1)
    rows = [row for row, text in enumerate(texts) for _ in text]
    index = torch.tensor(rows, device=default.device)
    sums = default.new_zeros(len(texts), default.shape[1])
    sums = sums.index_add(0, index, torch.stack(evidence))
    counts = torch.bincount(index, minlength=len(texts)).unsqueeze(1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), default)

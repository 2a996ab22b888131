"""What a head says of windows of texts. Letters: B windows, T tokens, H width, N, S."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mtl.data.windows import Window
from mtl.heads import FoundSpan, Head, Tagger
from mtl.text.spans import Scheme, Span, join_tag, parse_tag, read_spans


class Reading(NamedTuple):
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
    scheme: Scheme | None = None,
    attention: bool = False,
) -> list[Reading]:
    """Return what a head says of each window.

    Args:
        head: The head, which has attention if that is wanted.
        hidden: What it reads, `[B, T, H]`; of pairs `[2 B, T, H]`, first and then second sentences.
        mask: `[B, T]` or `[2 B, T]` bool, True on real tokens, which come first.
        windows: The B windows.
        confidence: Whether to say how probable tags are.
        scheme: That in which tags are given, if they describe spans: these, too, are then said to
            be so probable. The probability of a tag of BIO is that of all tags of IOBES, where
            these were learnt, that it stands for.
        attention: Whether to say where the head looks.
    """
    if head.level == "sentence":
        readings = [Reading(evidence=own) for own in head.evidence(hidden, mask)]
    else:
        readings = _tagged(head, hidden, mask, windows, confidence, scheme)
    if attention:
        weights = _weights(head, hidden, mask)
        count = len(windows)
        readings = [own._replace(attention=weights[row::count]) for row, own in enumerate(readings)]
    return readings


def join(text: Sequence[Reading]) -> Sequence[str]:
    """Return the tags of a text, given what is said of its windows."""
    return text[0].tags if len(text) == 1 else [tag for own in text for tag in own.tags]


def _tagged(
    head: Head,
    hidden: Tensor,
    mask: Tensor,
    windows: Sequence[Window],
    confidence: bool,
    scheme: Scheme | None,
) -> list[Reading]:
    ids = head.decode(hidden, mask)
    kept = [slice(w.keep_start - w.start, w.keep_end - w.start) for w in windows]
    paths = zip(ids.tolist(), kept, strict=True)
    tags = [[head.labels[label] for label in path[part]] for path, part in paths]
    if not confidence:
        return [Reading(own) for own in tags]
    rows = zip(tags, _certain(head, hidden, mask, ids, scheme).tolist(), kept, strict=True)
    readings = [Reading(own, confidence=certain[part]) for own, certain, part in rows]
    if not (scheme and isinstance(head, Tagger)):
        return readings
    described = [read_spans(own) for own in tags]
    placed = [
        [Span(kind, start + part.start, end + part.start) for kind, start, end in own]
        for own, part in zip(described, kept, strict=True)
    ]
    found = head.confidences(hidden, mask, ids, placed)
    return [
        reading._replace(spans=list(map(FoundSpan, own, certain)))
        for reading, own, certain in zip(readings, described, found, strict=True)
    ]


def _certain(
    head: Head, hidden: Tensor, mask: Tensor, ids: Tensor, scheme: Scheme | None
) -> Tensor:
    """Return how probable each of the labels is, `[B, T]`, once it is given in a scheme."""
    given = [_given(label) for label in head.labels] if scheme == "bio" else head.labels
    numbers = {label: number for number, label in enumerate(dict.fromkeys(given))}
    places = torch.tensor([numbers[label] for label in given], device=ids.device)
    probabilities = head.log_probs(hidden, mask).exp()  # [B, T, K]
    sums = probabilities.new_zeros(*ids.shape, len(numbers)).index_add(2, places, probabilities)
    return sums.gather(2, places[ids].unsqueeze(2)).squeeze(2).clamp(max=1)


def _given(tag: str) -> str:
    """Return the tag of BIO that a tag becomes, whichever are beside it."""
    prefix, kind = parse_tag(tag)
    return join_tag({"S": "B", "E": "I"}.get(prefix, prefix), kind)


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

"""Spans (names, phrases) and the tags that encode them: BIO, IOB1, IOBES.

Decoding follows conlleval, the scorer of the CoNLL shared tasks (Tjong Kim Sang and Buchholz 2000).
One rule decodes all three schemes, and also decodes sequences that are not well formed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias, get_args

from mtl.errors import MtlError

Scheme: TypeAlias = Literal["bio", "iob1", "iobes"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
OUTSIDE = "O"
PREFIXES: dict[str, str] = {"bio": "BI", "iob1": "BI", "iobes": "BIES"}
"""Tag prefixes of each scheme, without O."""


class Span(NamedTuple):
    """A span type, which may be empty, and the token range `start` to `end` (exclusive)."""

    type: str
    start: int
    end: int


@lru_cache(maxsize=4096)
def parse_tag(tag: str) -> tuple[str, str]:
    """Split a tag into its prefix and its type; the type is empty if the tag has none.

    >>> parse_tag("B-geo-loc"), parse_tag("O"), parse_tag("I")
    (('B', 'geo-loc'), ('O', ''), ('I', ''))

    Raises:
        MtlError: The tag belongs to none of the schemes.
    """
    # Only the first dash separates, since types may contain dashes (B-geo-loc).
    prefix, dash, kind = tag.partition("-")
    if tag != OUTSIDE and (prefix not in ("B", "I", "E", "S") or (dash and not kind)):
        raise MtlError(
            f"{tag!r} is not a span tag: expected O, or B, I, E or S with a type, such as B-PER; "
            "for labels that are not spans, use a head without a scheme and a metric such as "
            "accuracy"
        )
    return prefix, kind


def join_tag(prefix: str, kind: str) -> str:
    """Return the tag of a prefix and a type; the inverse of `parse_tag`."""
    return f"{prefix}-{kind}" if kind else prefix


def read_spans(tags: Iterable[str]) -> list[Span]:
    """Decode the tags of a sentence, in any of the schemes, into spans.

    A tag continues the span before it if its prefix is I or E, its type is the same, and the span
    is still open (the prefix of its last tag is B or I). Every other tag except O starts a span.

    >>> read_spans(["I-PER", "I-PER", "O", "S-LOC", "B-LOC"])
    [Span(type='PER', start=0, end=2), Span(type='LOC', start=3, end=4), \
Span(type='LOC', start=4, end=5)]

    Raises:
        MtlError: A tag belongs to none of the schemes.
    """
    spans: list[Span] = []
    open_type: str | None = None
    for position, tag in enumerate(tags):
        prefix, kind = parse_tag(tag)
        if prefix == OUTSIDE:
            open_type = None
            continue
        if prefix in "IE" and kind == open_type:
            spans[-1] = spans[-1]._replace(end=position + 1)
        else:
            spans.append(Span(kind, position, position + 1))
        open_type = kind if prefix in "BI" else None
    return spans


def write_tags(spans: Sequence[Span], length: int, scheme: Scheme) -> list[str]:
    """Encode spans as the tags of a sentence of `length` tokens.

    >>> write_tags([Span("PER", 0, 2), Span("LOC", 2, 3)], 4, "iobes")
    ['B-PER', 'E-PER', 'S-LOC', 'O']

    Args:
        spans: Sorted, not empty and not overlapping.
        length: Number of tokens.
        scheme: The tag scheme; `iob1` uses B only directly after a span of the same type.

    Raises:
        ValueError: The spans are out of order, overlap or are empty, or the scheme is unknown.
    """
    _check_scheme(scheme)
    tags = [OUTSIDE] * length
    before = Span("", 0, 0)
    for span in spans:
        kind, start, end = span
        if not before.end <= start < end <= length:
            raise ValueError(f"expected spans in order within {length} tokens, got {list(spans)}")
        tags[start:end] = [join_tag("I", kind)] * (end - start)
        # `start > 0`: the empty placeholder `before` ends at 0, but no span precedes the first.
        touches = before.type == kind and before.end == start > 0
        if scheme != "iob1" or touches:
            tags[start] = join_tag("B", kind)
        if scheme == "iobes":
            tags[end - 1] = join_tag("E" if end - start > 1 else "S", kind)
        before = span
    return tags


def convert(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Convert the tags of a sentence to another scheme; the spans stay the same.

    >>> convert(["I-PER", "I-PER", "B-PER", "O"], "bio")
    ['B-PER', 'I-PER', 'B-PER', 'O']

    Raises:
        MtlError: A tag belongs to none of the schemes.
    """
    return write_tags(read_spans(tags), len(tags), scheme)


def malformed(tags: Sequence[str], scheme: Scheme) -> int:
    """Count the tags that break a scheme: the tags that `convert` would change.

    >>> malformed(["O", "I-PER"], "bio"), malformed(["O", "I-PER"], "iob1")
    (1, 0)
    """
    return sum(tag != right for tag, right in zip(tags, convert(tags, scheme), strict=True))


def transitions(
    labels: Sequence[str], scheme: Scheme
) -> tuple[list[list[bool]], list[bool], list[bool]]:
    """Return the transitions, start tags and end tags that a scheme allows.

    A sequence is well formed if its first tag, all its transitions and its last tag are allowed.

    Args:
        labels: The K tags.
        scheme: The scheme of the tags.

    Returns:
        `[K][K]` whether tag j may follow tag i; `[K]` whether a sentence may start with a tag;
        `[K]` whether a sentence may end with a tag.

    Raises:
        MtlError: A label is not a tag of the scheme.
    """
    _check_scheme(scheme)
    for label in labels:
        if parse_tag(label)[0] not in OUTSIDE + PREFIXES[scheme]:
            raise MtlError(f"{label!r} is not a tag of the scheme {scheme}")
    allowed = [[_may_follow(first, second, scheme) for second in labels] for first in labels]
    # In all three schemes, the borders of a sentence act like an O.
    start = [_may_follow(OUTSIDE, label, scheme) for label in labels]
    end = [_may_follow(label, OUTSIDE, scheme) for label in labels]
    return allowed, start, end


def _may_follow(first: str, second: str, scheme: Scheme) -> bool:
    (before, type_before), (prefix, kind) = parse_tag(first), parse_tag(second)
    same = before != OUTSIDE and type_before == kind
    if scheme == "bio":
        return prefix != "I" or same
    if scheme == "iob1":
        return prefix != "B" or same
    return (prefix in "IE" and same) if before in "BI" else prefix not in "IE"


def _check_scheme(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ValueError(f"expected one of the schemes {', '.join(SCHEMES)}, got {scheme!r}")

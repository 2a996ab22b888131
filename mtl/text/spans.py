"""Spans (names, phrases) and the tags that write them down: BIO, IOB1, IOBES.

Reading follows conlleval, the scorer of the CoNLL shared tasks (Tjong Kim Sang and Buchholz 2000):
one rule reads all three schemes, and gives a meaning to sequences that break them.
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
"""The letters that a tag of each scheme may begin with, besides O."""


class Span(NamedTuple):
    """Tokens `start` to `end` (exclusive), and what they are; the type may be empty."""

    type: str
    start: int
    end: int


@lru_cache(maxsize=4096)
def parse_tag(tag: str) -> tuple[str, str]:
    """Split a tag into its prefix and its type; a tag may do without a type.

    >>> parse_tag("B-geo-loc"), parse_tag("O"), parse_tag("I")
    (('B', 'geo-loc'), ('O', ''), ('I', ''))

    Raises:
        MtlError: It is a tag of no scheme.
    """
    prefix, dash, kind = tag.partition("-")
    if tag != OUTSIDE and (prefix not in ("B", "I", "E", "S") or (dash and not kind)):
        raise MtlError(
            f"{tag!r} is no span tag: expected O, or B, I, E or S with a type, such as B-PER; "
            "labels that are no spans need a head without a scheme, and a metric such as accuracy"
        )
    return prefix, kind


def join_tag(prefix: str, kind: str) -> str:
    """Return the tag that `parse_tag` splits into these."""
    return f"{prefix}-{kind}" if kind else prefix


def read_spans(tags: Iterable[str]) -> list[Span]:
    """Return the spans that the tags of a sentence describe, in any of the schemes.

    A tag goes on with the span before it if it begins with I or E, has the same type, and the
    span is still open (its last tag began with B or I). Any other tag but O begins a span.

    >>> read_spans(["I-PER", "I-PER", "O", "S-LOC", "B-LOC"])
    [Span(type='PER', start=0, end=2), Span(type='LOC', start=3, end=4), \
Span(type='LOC', start=4, end=5)]

    Raises:
        MtlError: A tag is of no scheme.
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
    """Return the tags of a sentence of `length` tokens.

    >>> write_tags([Span("PER", 0, 2), Span("LOC", 2, 3)], 4, "iobes")
    ['B-PER', 'E-PER', 'S-LOC', 'O']

    Args:
        spans: In order, none empty, none overlapping.
        length: The number of tokens.
        scheme: How to write; `iob1` uses B only where a span follows one of the same type.

    Raises:
        ValueError: The spans cannot be written, or the scheme is unknown.
    """
    _check_scheme(scheme)
    tags = [OUTSIDE] * length
    before = Span("", 0, 0)
    for span in spans:
        kind, start, end = span
        if not before.end <= start < end <= length:
            raise ValueError(f"expected spans in order within {length} tokens, got {list(spans)}")
        tags[start:end] = [join_tag("I", kind)] * (end - start)
        touches = before.type == kind and before.end == start > 0
        if scheme != "iob1" or touches:
            tags[start] = join_tag("B", kind)
        if scheme == "iobes":
            tags[end - 1] = join_tag("E" if end - start > 1 else "S", kind)
        before = span
    return tags


def convert(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Return the same spans in another scheme; nothing is lost.

    >>> convert(["I-PER", "I-PER", "B-PER", "O"], "bio")
    ['B-PER', 'I-PER', 'B-PER', 'O']

    Raises:
        MtlError: A tag is of no scheme.
    """
    return write_tags(read_spans(tags), len(tags), scheme)


def malformed(tags: Sequence[str], scheme: Scheme) -> int:
    """Count the tags that break a scheme, which are those that `convert` would change.

    >>> malformed(["O", "I-PER"], "bio"), malformed(["O", "I-PER"], "iob1")
    (1, 0)
    """
    return sum(tag != right for tag, right in zip(tags, convert(tags, scheme), strict=True))


def transitions(
    labels: Sequence[str], scheme: Scheme
) -> tuple[list[list[bool]], list[bool], list[bool]]:
    """Return what a scheme allows: a sequence is well formed if all its steps are allowed.

    Args:
        labels: The K tags.
        scheme: Their scheme.

    Returns:
        `[K][K]` whether the second may follow the first, `[K]` whether a sentence may start with
        it, `[K]` whether a sentence may end with it.

    Raises:
        MtlError: A label is no tag of the scheme.
    """
    _check_scheme(scheme)
    for label in labels:
        if parse_tag(label)[0] not in OUTSIDE + PREFIXES[scheme]:
            raise MtlError(f"{label!r} is no tag of the scheme {scheme}")
    allowed = [[_may_follow(first, second, scheme) for second in labels] for first in labels]
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

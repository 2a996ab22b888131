"""Spans (names, phrases) and the tags that encode them: BIO, IOB1, IOBES, BILOU, BMES.

Decoding follows conlleval, the scorer of the CoNLL shared tasks (Tjong Kim Sang and Buchholz 2000).
One rule decodes all schemes, and also decodes sequences that are not well formed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from mtl.errors import MtlError

Scheme: TypeAlias = Literal["bio", "iob1", "iobes", "bilou", "bmes"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
OUTSIDE = "O"
PREFIXES: dict[str, str] = {
    "bio": "BI",
    "iob1": "BI",
    "iobes": "BIES",
    "bilou": "BILU",
    "bmes": "BMES",
}
"""Tag prefixes of each scheme, without O."""
_MEANINGS = {"O": "O", "B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I"}
"""Prefix of any scheme to the prefix of IOBES with the same meaning."""
_LETTERS: dict[str, dict[str, str]] = {
    scheme: {_MEANINGS[letter]: letter for letter in letters}
    for scheme, letters in PREFIXES.items()
}
"""Scheme to its prefixes, by the prefix of IOBES."""


class Span(NamedTuple):
    """A span type, which may be empty, and the token range `start` to `end` (exclusive)."""

    type: str
    start: int
    end: int


class FoundSpan(NamedTuple):
    """A span, and the joint probability of the predicted labels of its tokens."""

    span: Span
    confidence: float


@lru_cache(maxsize=4096)
def parse_tag(tag: str) -> tuple[str, str]:
    """Split a tag into its prefix, as in IOBES, and its type, which is empty if the tag has none.

    >>> parse_tag("B-geo-loc"), parse_tag("O"), parse_tag("I"), parse_tag("U-PER")
    (('B', 'geo-loc'), ('O', ''), ('I', ''), ('S', 'PER'))

    Raises:
        MtlError: The tag belongs to none of the schemes.
    """
    # Only the first dash separates, since types may contain dashes (B-geo-loc).
    prefix, dash, kind = tag.partition("-")
    meaning = _MEANINGS.get(prefix)
    if meaning is None or (dash and not kind) or (tag != OUTSIDE and meaning == OUTSIDE):
        raise MtlError(f"{tag!r} is not a span tag: expected {_EXPECTED}{_advice(tag)}")
    return meaning, kind


_EXPECTED = "O, or B, I, E or S (in other schemes L, U or M) with a type, such as B-PER"


def _advice(tag: str) -> str:
    kind, _, suffix = tag.rpartition("-")
    if kind and suffix in _MEANINGS and suffix != OUTSIDE:
        return f"; write the letter first: {suffix}-{kind}"
    return (
        "; for labels that are not spans, use a head without a scheme and a metric such as accuracy"
    )


def letters_problem(tags: Iterable[str], scheme: Scheme) -> str | None:
    """Return an error if tags have letters that do not exist in their scheme, or None.

    Letters of BIO and IOBES are read in all schemes, by the rules of conlleval.

    >>> letters_problem(["B-PER", "L-PER"], "iobes")
    'the tags have the letters B, L, but iobes has B, I, E, S; set `scheme: bilou`'
    """
    seen = {letter for tag in tags if (letter := tag.partition("-")[0]) != OUTSIDE}
    if seen <= {*PREFIXES[scheme], *PREFIXES["iobes"]}:
        return None
    fits = [name for name, letters in PREFIXES.items() if seen <= set(letters)]
    advice = f"set `scheme: {fits[0]}`" if fits else "write all tags in one scheme"
    found, own = ", ".join(sorted(seen)), ", ".join(PREFIXES[scheme])
    return f"the tags have the letters {found}, but {scheme} has {own}; {advice}"


def join_tag(prefix: str, kind: str) -> str:
    """Return the tag of a prefix and a type."""
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
    letters = _LETTERS[scheme]
    tags = [OUTSIDE] * length
    before = Span("", 0, 0)
    for span in spans:
        kind, start, end = span
        if not before.end <= start < end <= length:
            raise ValueError(f"expected spans in order within {length} tokens, got {list(spans)}")
        tags[start:end] = [join_tag(letters["I"], kind)] * (end - start)
        # `start > 0`: the empty placeholder `before` ends at 0, but no span precedes the first.
        touches = before.type == kind and before.end == start > 0
        if scheme != "iob1" or touches:
            tags[start] = join_tag("B", kind)
        if "E" in letters:
            tags[end - 1] = join_tag(letters["E" if end - start > 1 else "S"], kind)
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


def convert_known(tags: Sequence[str | None], scheme: Scheme) -> list[str | None]:
    """Convert the tags of a partly labelled sentence, in which None is an unknown tag.

    A tag that depends on an unknown neighbour becomes unknown. I and E after an unknown tag
    continue a span.

    >>> convert_known(["B-PER", None, "O", None, "I-PER", "O"], "iobes")
    [None, None, 'O', None, 'E-PER', 'O']
    """
    converted: list[str | None] = []
    if None not in tags:  # nearly all sentences, for which this is faster
        converted += convert(cast("Sequence[str]", tags), scheme)
        return converted
    for known, run in groupby(enumerate(tags), key=lambda item: item[1] is not None):
        positions, part = zip(*run, strict=True)
        first, last = positions[0] > 0, positions[-1] + 1 < len(tags)
        converted += _converted_part(part, scheme, first, last) if known else part
    return converted


def _converted_part(
    tags: Sequence[str], scheme: Scheme, unknown_before: bool, unknown_after: bool
) -> Iterator[str | None]:
    """Yield the tags of a labelled part: None where they depend on the unknown neighbours."""
    (first, first_type), (last, last_type) = parse_tag(tags[0]), parse_tag(tags[-1])
    befores: list[list[str]] = [[]]
    if unknown_before and first != OUTSIDE:
        inside = [join_tag("I", first_type)]
        befores = [inside] if first in "IE" else [[], inside]
    afters: list[list[str]] = [[]]
    if unknown_after and last in "BI":
        afters.append([join_tag("I", last_type)])
    ways = [
        convert([*before, *tags, *after], scheme)[len(before) : len(before) + len(tags)]
        for before in befores
        for after in afters
    ]
    for candidates in zip(*ways, strict=True):
        yield candidates[0] if len(set(candidates)) == 1 else None


def malformed(tags: Sequence[str | None], scheme: Scheme) -> int:
    """Count the tags that break a scheme: the tags that `convert` would change.

    >>> malformed(["O", "I-PER"], "bio"), malformed(["O", "I-PER"], "iob1")
    (1, 0)
    """
    pairs = zip(tags, convert_known(tags, scheme), strict=True)
    return sum(right is not None and tag != right for tag, right in pairs)


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
        parse_tag(label)
        if label[0] not in OUTSIDE + PREFIXES[scheme]:
            raise MtlError(f"{label!r} is not a tag of the scheme {scheme}")
    allowed = [[_may_follow(first, second, scheme) for second in labels] for first in labels]
    # In all schemes, the borders of a sentence act like an O.
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

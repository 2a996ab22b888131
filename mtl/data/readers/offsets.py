"""Spans by character offsets, as the tools for annotation write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mtl.errors import shorten
from mtl.text.spans import Scheme, Span, write_tags

_STARTS = ("start", "start_offset")
_ENDS = ("end", "end_offset")


class _Offsets(NamedTuple):
    """The characters `start` to `end` (exclusive) of a text, and the type of the span."""

    start: int
    end: int
    type: str


class OffsetSpans(list[Any]):
    """The spans of a text: the items of a JSON list, and the text.

    An item is `[start, end, type]` (doccano), or an object with `start` and `end`, or
    `start_offset` and `end_offset`, and with `label` (Prodigy) or a list `labels` of one item
    (Label Studio). Offsets are numbers of characters from the start of the text.

    Args:
        spans: The items.
        text: The text.
    """

    def __init__(self, spans: list[Any], text: str) -> None:
        super().__init__(spans)
        self.text = text

    @staticmethod
    def fits(value: Any) -> bool:
        """Return whether a JSON value is a list of such items."""
        return isinstance(value, list) and all(_offsets(item) is not None for item in value)

    def tags(self, words: Sequence[str], scheme: Scheme) -> list[str]:
        """Return one tag per word.

        Args:
            words: The words of the text, in order.
            scheme: The scheme of the tags.

        Raises:
            ValueError: A span is outside the text, overlaps another one, or does not start and end
                where words do; or the text does not consist of the words.
        """
        places = list(self._places(words))
        starts = {start: index for index, (start, _) in enumerate(places)}
        ends = {end: index + 1 for index, (_, end) in enumerate(places)}
        spans: list[Span] = []
        for item in sorted(self, key=lambda item: _offsets(item) or ()):
            start, end, kind = self._checked(item)
            if start not in starts or end not in ends:
                found = shorten(self.text[start:end], 40)
                raise ValueError(
                    f"the span {_brief(item)} is {found!r}, which does not start and end at "
                    "word boundaries; correct its offsets, or add a field with the words"
                )
            if spans and starts[start] < spans[-1].end:
                raise ValueError(f"the span {_brief(item)} overlaps another one; remove one")
            spans.append(Span(kind, starts[start], ends[end]))
        return write_tags(spans, len(words), scheme)

    def _places(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each word in the text."""
        end = 0
        for word in words:
            start = self.text.find(word, end)
            if start < 0 or self.text[end:start].strip():
                raise ValueError(f"the word {shorten(word, 40)!r} does not follow in the text")
            end = start + len(word)
            yield start, end

    def _checked(self, item: Any) -> _Offsets:
        """Return the offsets of a span, without the blanks at its ends."""
        offsets = _offsets(item)
        assert offsets is not None, "`fits` was not asked"
        start, end, kind = offsets
        found = self.text[start:end] if 0 <= start < end <= len(self.text) else ""
        if not found.strip():
            message = f"the span {_brief(item)} is empty or outside the text"
            raise ValueError(f"{message} of {len(self.text)} characters")
        if not kind.strip():
            raise ValueError(f"the span {_brief(item)} has no type")
        written = item.get("text", found) if isinstance(item, dict) else found
        if written != found:
            raise ValueError(
                f"the span {_brief(item)} is {shorten(found, 40)!r} in the text; count the offsets "
                "in characters"
            )
        left = len(found) - len(found.lstrip())
        return _Offsets(start + left, start + len(found.rstrip()), kind.strip())


def _offsets(item: Any) -> _Offsets | None:
    """Return the offsets of an item, or None if it is not a span."""
    if isinstance(item, list):
        values = item
    elif isinstance(item, dict):
        kind = item.get("label", item.get("labels"))
        if isinstance(kind, list) and len(kind) == 1:
            kind = kind[0]
        values = [_first(item, _STARTS), _first(item, _ENDS), kind]
    else:
        return None
    if [type(value) for value in values] != [int, int, str]:
        return None
    return _Offsets(*values)


def _first(item: dict[str, Any], names: Sequence[str]) -> Any:
    return next((item[name] for name in names if name in item), None)


def _brief(item: Any) -> str:
    return shorten(repr(item), 100)

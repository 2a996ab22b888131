"""Raw text into sentences and words, by rules, with exact offsets."""

from __future__ import annotations

import re
from typing import NamedTuple


class Token(NamedTuple):
    """A word of a text: `text[start:end]`."""

    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """Return the words of a text."""
    return [Token(m[0], m.start(), m.end()) for m in re.finditer(r"\w+|[^\w\s]", text)]


def words_of(text: str, by_rule: bool) -> list[str]:
    """Return the words of a text, cut by rule or else at blanks."""
    return [token.text for token in tokenize(text)] if by_rule else text.split()

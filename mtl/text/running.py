"""Running text as language models read it: words or their characters, and ends of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

END = "<eos>"
"""What comes after the last word of a sentence, and before the first: a word to language models."""

JOINER = "￭"
"""What a token begins with that goes on the word of the one before it."""


def characters(text: str) -> list[str]:
    """Return the characters of a text but its blanks, joined within words.

    >>> characters("an ox")
    ['a', '￭n', 'o', '￭x']
    """
    return [JOINER * (place > 0) + c for word in text.split() for place, c in enumerate(word)]


def goes_on(token: str) -> bool:
    """Return whether a token goes on the word of the one before it."""
    return token.startswith(JOINER)


def length(token: str) -> int:
    """Return how many characters of a text a token stands for, with the one behind each word.

    >>> length("ox"), length("￭x"), length(END)
    (3, 1, 0)
    """
    if token == END:
        return 0  # the one behind the last word ends the line
    return len(token) - 1 if goes_on(token) else len(token) + 1


def spelt(tokens: Iterable[str]) -> Iterator[str]:
    r"""Yield tokens as they are written: a blank before each word but the first of a line.

    >>> "".join(spelt(["a", "￭n", "ox", END, "o", "￭x"]))
    'an ox\nox'
    """
    blank = ""
    for token in tokens:
        if token == END:
            yield "\n"
        else:
            yield token.removeprefix(JOINER) if goes_on(token) else blank + token
        blank = "" if token == END else " "

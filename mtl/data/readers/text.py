"""Plain text without labels, for language models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mtl.data.readers.base import Reader, Record
from mtl.files import open_text
from mtl.text.tokenizer import words_of


class Text(Reader):
    """Running text; blank lines hold no words and are passed over.

    Args:
        by: What a sentence is: a line, a paragraph (lines up to a blank one), or the whole file.
        tokenize: Whether the text is cut into words by rule; if not, at blanks; characters: what a
            language model reads are the characters of words.
    """

    def __init__(
        self,
        *,
        by: Literal["line", "paragraph", "document"] = "line",
        tokenize: bool | Literal["characters"] = False,
    ) -> None:
        self.by = by
        self.tokenize = tokenize

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        with open_text(path) as file:
            words: list[str] = []
            start = 0
            for line, text in enumerate(file, 1):
                found = words_of(text, self.tokenize)
                if words and (self.by == "line" or (self.by == "paragraph" and not found)):
                    yield Record(words, line=start)
                    words = []
                start = start if words else line
                words += found
            if words:
                yield Record(words, line=start)

"""Plain text without labels, for language models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import first_look
from mtl.data.readers.parts import BLANK_LINE, LINE, FilePart, open_lines
from mtl.options import Bounds, Default, Requires
from mtl.text.subwords import BYTES, Subwords
from mtl.text.tokenizer import Cut, words_of


class TextRecipe(TypedDict, total=False):
    """Options that the library follows when it builds a reader of running text.

    Args:
        subwords: The number of subwords to learn from the training text (byte-level BPE), the 256
            bytes included.
    """

    subwords: Annotated[int, Bounds(ge=BYTES), Default(8000), Requires("tokenize", ("subwords",))]


class Text(Reader):
    """Running text; blank lines are skipped.

    Args:
        segmenter: Learned subwords, for `tokenize: subwords`.
        by: Unit of a sentence: a line, a paragraph (up to the next blank line) or the whole file.
        tokenize: Unit of the tokens: true for words by rule, false for words at blanks, or the
            characters or subwords of the words at blanks, for language models.
    """

    version = 2
    recipe = TextRecipe

    def __init__(
        self,
        segmenter: Subwords | None = None,
        *,
        by: Literal["line", "paragraph", "document"] = "line",
        tokenize: Cut = False,
    ) -> None:
        self.segmenter = segmenter
        self.by = by
        self.tokenize = tokenize

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        return self.read_part(path, None)

    def ends(self) -> re.Pattern[bytes] | None:
        """Return the ends of lines or paragraphs; None if a file is one sentence."""
        return {"line": LINE, "paragraph": BLANK_LINE}.get(self.by)

    def read_part(self, path: Path, part: FilePart | None) -> Iterator[Record]:
        """Yield the sentences of a part of a file."""
        with open_lines(path, part) as file:
            lines, oddity = first_look(file)
            words: list[str] = []
            start = 0
            for line, text in lines:
                line_words = words_of(text, self.tokenize, self.segmenter)
                if words and (self.by == "line" or (self.by == "paragraph" and not line_words)):
                    yield Record(words, line=start, oddity=oddity)
                    words, oddity = [], ""
                start = start if words else line
                words += line_words
            if words:
                yield Record(words, line=start, oddity=oddity)

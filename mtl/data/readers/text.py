"""Plain text without labels, for language models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from mtl.data.readers.base import Reader, Record
from mtl.files import open_text
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
    """Running text; blank lines hold no words and are passed over.

    Args:
        learnt: What cuts into subwords, where that is wanted.
        by: What a sentence is: a line, a paragraph (lines up to a blank one), or the whole file.
        tokenize: Whether the text is cut into words by rule; if not, at blanks; characters,
            subwords: what a language model reads are the parts of the words between blanks.
    """

    version = 1
    recipe = TextRecipe

    def __init__(
        self,
        learnt: Subwords | None = None,
        *,
        by: Literal["line", "paragraph", "document"] = "line",
        tokenize: Cut = False,
    ) -> None:
        self.learnt = learnt
        self.by = by
        self.tokenize = tokenize

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        with open_text(path) as file:
            words: list[str] = []
            start = 0
            for line, text in enumerate(file, 1):
                found = words_of(text, self.tokenize, self.learnt)
                if words and (self.by == "line" or (self.by == "paragraph" and not found)):
                    yield Record(words, line=start)
                    words = []
                start = start if words else line
                words += found
            if words:
                yield Record(words, line=start)

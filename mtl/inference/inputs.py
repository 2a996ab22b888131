"""Sentences to label, made from raw text, lists of words, or examples of a corpus."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

from mtl.errors import MtlError
from mtl.text.example import Example
from mtl.text.running import characters
from mtl.text.tokenizer import first_tokens, split_sentences, tokenize, words_of

Offsets: TypeAlias = Sequence[tuple[int, int]]
"""Start and end of each word, in characters."""


# Not frozen: `frozen` doubles the time to create an object, and each sentence needs one.
@dataclass(slots=True)
class Sentence:
    """A sentence, or a pair of sentences, to label.

    Args:
        example: The words that the model reads.
        text: The raw text of the (first) sentence; None if the input consists of words.
        start: The position of `text` in the whole input, in characters.
        text_b: The raw text of the second sentence of a pair.
        fields: Further fields of the input, which are copied to the output; None: no fields.
        cut: How the words were cut from `text`: by the rules of `tokenize` (True), or at blanks
            (False). None if they were not, and for pairs.
        given: Task to the labels that each word may have: a collection of names, or None for any.
            A name is a label, or the type of a span. None: no labels are given.
    """

    example: Example
    text: str | None = None
    start: int = 0
    text_b: str | None = None
    fields: Mapping[str, Any] | None = None
    cut: bool | None = None
    given: Mapping[str, Sequence[Collection[str] | None]] | None = None
    _offsets: Offsets | None = field(default=None, init=False, repr=False, compare=False)
    _bounds: Sequence[tuple[int, int]] = field(default=(), init=False, repr=False, compare=False)

    @classmethod
    def from_words(cls, words: Iterable[str], fields: Mapping[str, Any] | None = None) -> Sentence:
        """Make a sentence from its words."""
        return cls(Example(tuple(words)), fields=fields)

    @classmethod
    def from_tokens(
        cls, words: Sequence[str], text: str, bounds: Sequence[tuple[int, int]]
    ) -> Sentence:
        """Make a text from its words and its sentences, which another library has cut.

        Args:
            words: The words.
            text: The text.
            bounds: First word of each sentence, and the word after its last one.
        """
        sentence = cls(Example(tuple(words)), text)
        sentence._bounds = bounds
        return sentence

    @classmethod
    def from_text(
        cls,
        text: str,
        start: int = 0,
        fields: Mapping[str, Any] | None = None,
        *,
        cut: bool = True,
    ) -> Sentence:
        """Make one item from raw text.

        Args:
            text: The text.
            start: Its position in the whole input, in characters.
            fields: Further fields of the input.
            cut: Whether the text is cut into words by rules; if not, it is cut at blanks.
        """
        return cls(Example(tuple(words_of(text, cut))), text, start, fields=fields, cut=cut)

    @classmethod
    def pair(
        cls, first: Sentence, second: Sentence, fields: Mapping[str, Any] | None = None
    ) -> Sentence:
        """Make a pair from two sentences."""
        example = Example.pair(first.example.tokens, second.example.tokens)
        return cls(example, first.text, text_b=second.text, fields=fields)

    def in_characters(self) -> Sentence:
        """Return the item with characters as tokens, for classifiers that read characters."""
        sides = [
            characters(" ".join(words) if text is None else text)
            for words, text in zip(self.example.texts, (self.text, self.text_b), strict=False)
        ]
        if len(sides) == 1:
            return Sentence(Example(tuple(sides[0])))
        return Sentence(Example.pair(sides[0], sides[1]))

    @property
    def offsets(self) -> Offsets:
        """Start and end of each word, in characters of the whole input.

        Empty if the input consists of words, and for pairs.
        """
        # Computed on first use: most callers need only the words.
        if self._offsets is None:
            spans: Iterable[tuple[int, int]] = ()
            if self.text is not None and self.cut is not None:
                spans = (
                    ((token.start, token.end) for token in tokenize(self.text))
                    if self.cut
                    else (match.span() for match in _CHUNK.finditer(self.text))
                )
            self._offsets = tuple((self.start + first, self.start + last) for first, last in spans)
        return self._offsets

    @property
    def bounds(self) -> Sequence[tuple[int, int]]:
        """First token of each sentence of a text, and the token after its last one.

        Words that were not cut from a text, and pairs, are not split.
        """
        if not self._bounds:
            firsts, count = [0], len(self.example.tokens)
            if self.text is not None and self.cut is not None and _may_split(self.text):
                if self.cut:
                    firsts = first_tokens(self.text)
                else:  # a sentence may begin inside of a word
                    starts = [first - self.start for first, _ in self.offsets]
                    found = {bisect_left(starts, first) for first, _ in split_sentences(self.text)}
                    firsts = sorted((found | {0}) - {count})
            self._bounds = tuple(pairwise([*firsts, count]))
        return self._bounds

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words of the sentence, for pairs of the first one."""
        return self.example.texts[0]

    @property
    def tokens_b(self) -> tuple[str, ...] | None:
        """The words of the second sentence of a pair, else None."""
        return None if self.example.second is None else self.example.texts[1]


def split_text(
    text: str, start: int = 0, fields: Mapping[str, Any] | None = None
) -> Iterator[Sentence]:
    """Yield the sentences of a text; arguments as for `Sentence.from_text`."""
    for first, last in split_sentences(text):
        sentence = Sentence.from_text(text[first:last], start + first, fields)
        # A sentence is not split again, although it lacks the context of the text.
        sentence._bounds = ((0, len(sentence.tokens)),)
        yield sentence


_CHUNK = re.compile(r"\S+")
_END = re.compile("[.!?…。！？]|\n")


def _may_split(text: str) -> bool:
    """Return whether a text may have several sentences; the answer no is certain, and quick."""
    return _END.search(text, 0, len(text.rstrip()) - 1) is not None


def split_texts(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """Split raw texts into sentences; yield lists of words and texts without words unchanged."""
    for sentence in sentences:
        if sentence.text is None or not sentence.tokens:
            yield sentence
        else:
            yield from split_text(sentence.text, sentence.start, sentence.fields)


Sentences: TypeAlias = Iterable[str | Sequence[str] | Sequence[Sequence[str]] | Sentence]
"""Raw texts or lists of words; for tasks that compare sentences, two of them per item."""


def read_sentences(sentences: Sentences, *, pairs: bool) -> Iterator[Sentence]:
    """Return an iterator over sentences as users pass them. It reads its input lazily.

    Args:
        sentences: The sentences; raw text is cut into words.
        pairs: Whether they are pairs.

    Raises:
        MtlError: Something else than a list was passed, such as a single string; or an item is
            neither text nor words, or not a pair where pairs are expected.
    """
    # A string is iterable too: without this check, each character would become a sentence. The
    # items of a dictionary or a data frame are the names of its columns.
    if isinstance(sentences, str):
        raise MtlError("expected a list of sentences, got one string; put it into a list")
    if isinstance(sentences, (bytes, Mapping)) or hasattr(sentences, "columns"):
        kind = type(sentences).__name__
        raise MtlError(f"expected a list of sentences, got {kind}; pass a list or one column")
    if not isinstance(sentences, Iterable):
        raise MtlError(f"expected a list of sentences, got {sentences!r}")
    return _read(sentences, _pair if pairs else _single)


def _read(sentences: Sentences, read: Callable[[Any], Sentence]) -> Iterator[Sentence]:
    for index, item in enumerate(sentences):
        try:
            yield item if isinstance(item, Sentence) else read(item)
        except ValueError as error:
            raise MtlError(f"sentences[{index}]: {error}") from None


def _single(item: Any) -> Sentence:
    # The usual types first: a check against an abstract class takes longer than the rest.
    if type(item) is list or type(item) is tuple:
        return _of_words(tuple(item))
    if isinstance(item, str):
        _check_text(item)
        return Sentence.from_text(item)
    if isinstance(item, (bytes, Mapping)) or not isinstance(item, Iterable):
        raise ValueError(f"expected text or a list of words, got {item!r}")
    return _of_words(tuple(item))


def _of_words(words: tuple[Any, ...]) -> Sentence:
    try:
        text = "".join(words)  # the fastest check that all of them are strings
    except TypeError:
        other = next(word for word in words if not isinstance(word, str))
        raise ValueError(f"expected a list of words, found {other!r} among them") from None
    if not text.isascii():
        _check_text(text)
    return Sentence(Example(words))


def _check_text(text: str) -> None:
    """Check that a string is text; a string can have one half of a UTF-16 character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ValueError(f"expected text, found an incomplete character, {half!r}, in it") from None


def _pair(item: Any) -> Sentence:
    if isinstance(item, str) or not isinstance(item, Sequence) or len(item) != 2:
        raise ValueError(f"expected two sentences to compare, got {item!r}")
    first, second = item
    return Sentence.pair(_single(first), _single(second))

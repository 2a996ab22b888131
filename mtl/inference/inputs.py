"""Sentences to label, made from raw text, lists of words, or examples of a corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mtl.errors import MtlError
from mtl.text.example import Example
from mtl.text.tokenizer import split_sentences, tokenize, words_of

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
        is_cut: Whether the words were cut from `text` by the rules of `tokenize`.
    """

    example: Example
    text: str | None = None
    start: int = 0
    text_b: str | None = None
    fields: Mapping[str, Any] | None = None
    is_cut: bool = False
    _offsets: Offsets | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def from_words(cls, words: Iterable[str], fields: Mapping[str, Any] | None = None) -> Sentence:
        """Make a sentence from its words."""
        return cls(Example(tuple(words)), fields=fields)

    @classmethod
    def from_text(
        cls, text: str, start: int = 0, fields: Mapping[str, Any] | None = None
    ) -> Sentence:
        """Make one sentence from raw text, which is cut into words by rules.

        Args:
            text: The text.
            start: Its position in the whole input, in characters.
            fields: Further fields of the input.
        """
        example = Example(tuple(words_of(text, True)))
        return cls(example, text, start, fields=fields, is_cut=True)

    @classmethod
    def pair(
        cls, first: Sentence, second: Sentence, fields: Mapping[str, Any] | None = None
    ) -> Sentence:
        """Make a pair from two sentences."""
        example = Example.pair(first.example.tokens, second.example.tokens)
        return cls(example, first.text, text_b=second.text, fields=fields)

    @property
    def offsets(self) -> Offsets:
        """Start and end of each word, in characters of the whole input.

        Empty if the input consists of words, and for pairs.
        """
        # Computed on first use: most callers need only the words.
        if self._offsets is None:
            tokens = tokenize(self.text) if self.is_cut and self.text is not None else []
            self._offsets = tuple((self.start + t.start, self.start + t.end) for t in tokens)
        return self._offsets

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
        yield Sentence.from_text(text[first:last], start + first, fields)


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
        MtlError: A single string was passed instead of a list; or an item is neither text nor
            words, or not a pair where pairs are expected.
    """
    # A string is iterable too: without this check, each character would become a sentence.
    if isinstance(sentences, str):
        raise MtlError("expected a list of sentences, got one string; put it into a list")
    return _read(sentences, _pair if pairs else _single)


def _read(sentences: Sentences, read: Callable[[Any], Sentence]) -> Iterator[Sentence]:
    for index, item in enumerate(sentences):
        try:
            yield item if isinstance(item, Sentence) else read(item)
        except ValueError as error:
            raise MtlError(f"sentences[{index}]: {error}") from None


def _single(item: Any) -> Sentence:
    if isinstance(item, str):
        return Sentence.from_text(item)
    try:
        words = tuple(item)
    except TypeError:
        raise ValueError(f"expected text or a list of words, got {item!r}") from None
    try:
        "".join(words)  # the fastest check that all of them are strings
    except TypeError:
        other = next(word for word in words if not isinstance(word, str))
        raise ValueError(f"expected a list of words, found {other!r} among them") from None
    return Sentence(Example(words))


def _pair(item: Any) -> Sentence:
    if isinstance(item, str) or not isinstance(item, Sequence) or len(item) != 2:
        raise ValueError(f"expected two sentences to compare, got {item!r}")
    first, second = item
    return Sentence.pair(_single(first), _single(second))

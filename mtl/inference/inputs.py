"""Sentences as users of the library give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from mtl.errors import MtlError
from mtl.text.example import Example
from mtl.text.tokenizer import words_of

Sentences: TypeAlias = Sequence[str | Sequence[str] | Sequence[Sequence[str]]]
"""Raw text, or lists of tokens; or two of these each, for tasks that compare sentences."""


def examples_of(sentences: Sentences, *, pairs: bool) -> list[Example]:
    """Return what a model reads.

    Args:
        sentences: The sentences; raw text is cut into tokens.
        pairs: Whether they are pairs.

    Raises:
        MtlError: One string in place of a list, or one sentence in place of two.
    """
    if isinstance(sentences, str):
        raise MtlError("expected a list of sentences, got one string; put it into a list")
    return [(_pair if pairs else _single)(sentence) for sentence in sentences]


def _single(sentence: Any) -> Example:
    return Example(tuple(_tokens(sentence)))


def _pair(sentences: Any) -> Example:
    if isinstance(sentences, str) or len(sentences) != 2:
        raise MtlError(f"expected two sentences to compare, got {sentences!r}")
    first, second = map(_tokens, sentences)
    return Example.pair(first, second)


def _tokens(sentence: str | Sequence[str]) -> Sequence[str]:
    return words_of(sentence, True) if isinstance(sentence, str) else sentence

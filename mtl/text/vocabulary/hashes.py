"""Numbers of whole words from a hash function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self
from zlib import crc32

from mtl.text.vocabulary.base import Vocabulary

MODULUS = 2**31 - 1
"""A prime number; all numbers of words are smaller."""


class HashVocabulary(Vocabulary):
    """A number from 1 for each lower-cased word, known or not: the CRC-32 checksum of its letters.

    >>> HashVocabulary().encode("The") == HashVocabulary().encode("the")
    True
    """

    feature = "hashes"
    width = 1
    json_type: ClassVar[Any] = dict[str, str]

    @classmethod
    def build(cls, counts: Mapping[str, int], known: Self | None = None) -> Self:
        """Return the vocabulary, which does not depend on the training text."""
        return cls()

    def encode(self, word: str) -> tuple[int]:
        """Return the number of a word, as a tuple of one."""
        # Surrogates cannot be encoded as UTF-8, but a text may have them.
        letters = word.lower().encode("utf-8", "surrogatepass")
        return (crc32(letters) % (MODULUS - 1) + 1,)

    def tables(self) -> list[Sequence[str]]:
        """Return an empty list: the numbers are not rows of a table."""
        return []

    def to_json(self) -> Any:
        """Return the name of the hash function."""
        return {"hash": "crc32"}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`.

        Raises:
            ValueError: The hash function is another one.
        """
        if data != {"hash": "crc32"}:
            raise ValueError(f"expected the hash function crc32, got {data}")
        return cls()

"""The subwords of a pretrained transformer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from mtl.options import ModelName
from mtl.text.transformers_hub import read_tokenizer
from mtl.text.vocabulary.base import SPECIAL, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TransformerVocabulary(Vocabulary):
    """The subwords that a pretrained transformer cuts words into, as its own tokenizer does.

    Args:
        tokenizer: The tokenizer; it cuts single words and adds no padding.
        unknown: What a word is that it finds nothing in, such as a lone accent.
    """

    feature = "transformer"
    width = None

    def __init__(self, tokenizer: Tokenizer, unknown: str) -> None:
        # A word of the text that is spelt like a mark is no such thing.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._unknown = unknown
        marks = _numbers(tokenizer.encode("").ids)
        self.begin, self.end = marks[:1], marks[1:]
        """The marks before and after a sentence."""

    @classmethod
    def build(cls, counts: Mapping[str, int], *, name: ModelName) -> Self:  # type: ignore[override]
        """Read the subwords of a model; the corpus has no say.

        Args:
            counts: Word to how often it occurs in the training text.
            name: The folder of the model, or its name on the Hugging Face hub.
        """
        return cls(*read_tokenizer(name))

    def encode(self, word: str) -> list[int]:
        """Return the numbers of the subwords, after the special ones, which no text has."""
        found = self._tokenizer.encode([word], is_pretokenized=True, add_special_tokens=False).ids
        return _numbers(found or [self._tokenizer.token_to_id(self._unknown)])

    def tables(self) -> list[Sequence[str]]:
        """Return the subwords by number, special ones first; a number without one has ""."""
        subwords = {number: subword for subword, number in self._tokenizer.get_vocab().items()}
        return [[*SPECIAL, *(subwords.get(n, "") for n in range(1 + max(subwords)))]]

    def to_json(self) -> Any:
        """Return the tokenizer in the format of `tokenizers`, and the unknown subword."""
        return {"tokenizer": json.loads(self._tokenizer.to_str()), "unknown": self._unknown}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_str(json.dumps(data["tokenizer"])), data["unknown"])
        except Exception as error:  # `tokenizers` raises nothing more special
            raise ValueError(f"no tokenizer: {error}") from error


def _numbers(ids: Sequence[int | None]) -> list[int]:
    return [len(SPECIAL) + number for number in ids if number is not None]

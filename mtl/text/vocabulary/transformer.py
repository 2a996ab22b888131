"""The subwords of a pretrained transformer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from typing_extensions import TypedDict

from mtl.errors import MtlError, not_installed
from mtl.options import ModelName
from mtl.text.transformers_hub import read_tokenizer
from mtl.text.vocabulary.base import SPECIAL, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TransformerJson(TypedDict):
    """The saved form of the vocabulary: a tokenizer of `tokenizers`, and the unknown subword."""

    tokenizer: dict[str, Any]
    unknown: str


class TransformerVocabulary(Vocabulary):
    """The subwords of a pretrained transformer, as its own tokenizer splits words.

    Args:
        tokenizer: The tokenizer, set up for single words and without padding.
        unknown: The subword for a word that the tokenizer drops, such as a lone accent.
    """

    feature = "transformer"
    width = None
    json_type: ClassVar[Any] = TransformerJson

    def __init__(self, tokenizer: Tokenizer, unknown: str) -> None:
        # The word "[SEP]" in a text is an ordinary word, not the special token.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._unknown = unknown
        # An empty text consists of the special tokens only, in order.
        borders = _shifted(tokenizer.encode("").ids)
        self.begin, self.end = borders[:1], borders[1:]
        """Ids of the special tokens before and after a sentence."""

    @classmethod
    def build(cls, counts: Mapping[str, int], *, name: ModelName) -> Self:  # type: ignore[override]
        """Read the subwords of a model; they do not depend on the corpus.

        Args:
            counts: Number of occurrences of each word in the training text; unused.
            name: The folder of the model, or its name on the Hugging Face hub.
        """
        return cls(*read_tokenizer(name))

    def encode(self, word: str) -> list[int]:
        """Return the ids of the subwords, shifted by the number of special strings."""
        ids = self._tokenizer.encode([word], is_pretokenized=True, add_special_tokens=False).ids
        return _shifted(ids or [self._tokenizer.token_to_id(self._unknown)])

    def tables(self) -> list[Sequence[str]]:
        """Return the subwords in the order of their ids, special ones first; "" where none is."""
        subwords = {index: subword for subword, index in self._tokenizer.get_vocab().items()}
        return [[*SPECIAL, *(subwords.get(n, "") for n in range(1 + max(subwords)))]]

    def to_json(self) -> Any:
        """Return the tokenizer in the format of `tokenizers`, and the unknown subword."""
        return {"tokenizer": json.loads(self._tokenizer.to_str()), "unknown": self._unknown}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            message = not_installed("a pretrained transformer", "transformers", error)
            raise MtlError(message) from error
        try:
            return cls(Tokenizer.from_str(json.dumps(data["tokenizer"])), data["unknown"])
        except Exception as error:  # `tokenizers` raises no narrower type
            raise ValueError(f"expected a tokenizer of `tokenizers`: {error}") from error


def _shifted(ids: Sequence[int | None]) -> list[int]:
    """Shift the ids of the tokenizer by the number of special strings; skip missing ids."""
    return [len(SPECIAL) + i for i in ids if i is not None]

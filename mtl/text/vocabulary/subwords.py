"""Vocabulary of the BPE subwords of words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mtl.errors import MtlError, not_installed
from mtl.options import NonNegativeInt, PositiveInt
from mtl.text.vocabulary.base import SPECIAL, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class SubwordVocabulary(Vocabulary):
    """Byte-level BPE subwords (Sennrich et al. 2016) of a word, learned by `tokenizers`."""

    feature = "subwords"
    width = None
    json_type: ClassVar[Any] = dict[str, Any]

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        known: Self | None = None,
        *,
        pieces: PositiveInt = 4000,
        min_piece_count: NonNegativeInt = 2,
    ) -> Self:
        """Learn the subwords of a corpus.

        Args:
            counts: Number of occurrences of each word in the training text.
            known: The subwords of the run that this run starts from. They are used unchanged,
                since new merges would split known words differently.
            pieces: Number of subwords, including the 256 bytes and the two special ones.
            min_piece_count: Pairs less frequent than this are not merged.
        """
        if known:
            return known
        try:
            from tokenizers import Tokenizer
            from tokenizers.models import BPE
            from tokenizers.pre_tokenizers import ByteLevel
            from tokenizers.trainers import BpeTrainer
        except ImportError as error:
            raise _missing(error) from error
        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        trainer = BpeTrainer(
            vocab_size=max(0, pieces - len(SPECIAL)),
            min_frequency=min_piece_count,
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        )
        # `tokenizers` accepts no counts, so each word is repeated. Words are sorted so that the
        # result does not depend on the order of the files.
        words = (word for word, count in sorted(counts.items()) for _ in range(count))
        tokenizer.train_from_iterator(words, trainer)
        return cls(tokenizer)

    def encode(self, word: str) -> list[int]:
        """Return the ids of the subwords, shifted by the number of special strings."""
        return [len(SPECIAL) + i for i in self._tokenizer.encode(word).ids]

    def tables(self) -> list[Sequence[str]]:
        """Return the subwords in the order of their ids, special ones first."""
        ids = self._tokenizer.get_vocab()
        return [[*SPECIAL, *sorted(ids, key=lambda subword: ids[subword])]]

    def to_json(self) -> Any:
        """Return the tokenizer in the format of `tokenizers`."""
        return json.loads(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from the output of `to_json`."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise _missing(error) from error
        try:
            return cls(Tokenizer.from_str(json.dumps(data)))
        except Exception as error:  # `tokenizers` raises no narrower type
            raise ValueError(f"expected a tokenizer of `tokenizers`: {error}") from error


def _missing(error: ImportError) -> MtlError:
    return MtlError(not_installed("splitting words into subwords", "subwords", error))

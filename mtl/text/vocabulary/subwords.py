"""Numbering of the BPE pieces of words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from mtl.options import NonNegativeInt, PositiveInt
from mtl.text.vocabulary.base import SPECIAL, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class SubwordVocabulary(Vocabulary):
    """Byte-level BPE pieces (Sennrich et al. 2016) of a word, learnt by `tokenizers`."""

    feature = "subwords"
    width = None

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
        """Learn the pieces of a corpus.

        Args:
            counts: Word to how often it occurs in the training text.
            known: The pieces of the run that this one starts from, which are taken as they are:
                new ones would cut its words differently.
            pieces: The number of pieces; the 256 bytes and two special ones are among them.
            min_piece_count: Pairs less frequent than this are not merged.
        """
        if known:
            return known
        from tokenizers import Tokenizer
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import ByteLevel
        from tokenizers.trainers import BpeTrainer

        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        trainer = BpeTrainer(
            vocab_size=max(0, pieces - len(SPECIAL)),
            min_frequency=min_piece_count,
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        )
        words = (word for word, count in sorted(counts.items()) for _ in range(count))
        tokenizer.train_from_iterator(words, trainer)
        return cls(tokenizer)

    def encode(self, word: str) -> list[int]:
        """Return the numbers of the pieces, after the special ones, which no text has."""
        return [len(SPECIAL) + number for number in self._tokenizer.encode(word).ids]

    def tables(self) -> list[Sequence[str]]:
        """Return the pieces by number, special ones first."""
        pieces = self._tokenizer.get_vocab()
        return [[*SPECIAL, *sorted(pieces, key=lambda piece: pieces[piece])]]

    def to_json(self) -> Any:
        """Return the tokenizer in the format of `tokenizers`."""
        return json.loads(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the vocabulary from what `to_json` gave."""
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_str(json.dumps(data)))
        except Exception as error:  # `tokenizers` raises nothing more special
            raise ValueError(f"no tokenizer: {error}") from error

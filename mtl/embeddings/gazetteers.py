"""Features from lists of phrases. Letters: B sentences, T tokens, L lists, M lists of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mtl.embeddings.base import Embedding
from mtl.errors import OptionError
from mtl.options import PositiveInt, RunContext
from mtl.text.vocabulary import PAD, GazetteerVocabulary, Vocabulary
from mtl.text.vocabulary.base import SPECIAL
from mtl.text.vocabulary.gazetteers import FIRST, INSIDE

_DIM = 5
"""The default width of a vector."""


class GazetteerEmbedding(Embedding):
    """Whether a token is in a phrase of a list: one vector per list (Collobert et al. 2011).

    A token is the first one of a listed phrase, further inside of one, or outside, and each of the
    three has a learned vector. A list with numbers, such as a sentiment lexicon, gives the number
    of the phrase instead, and 0 outside (Teng et al. 2016). The longest phrase counts.
    The lists are stored in the run folder, so that predictions need no files.

    Args:
        vocabularies: Feature name to vocabulary; "gazetteers" is read.
        dim: Width of the vector of each list without numbers.
    """

    vocabulary = GazetteerVocabulary
    contextual = True

    def __init__(self, vocabularies: Mapping[str, Vocabulary], *, dim: PositiveInt = _DIM) -> None:
        super().__init__()
        vocabulary = vocabularies["gazetteers"]
        assert isinstance(vocabulary, GazetteerVocabulary)
        self._phrases, self._numbered = vocabulary.phrases(), vocabulary.numbered()
        self.size = dim * len(self._phrases) + len(self._numbered)
        if not self.size:
            raise OptionError("lists", "expected at least one list, as in {PER: people.txt}")
        self.tables = nn.ModuleList(
            nn.Embedding(n, dim, padding_idx=PAD) for n in vocabulary.sizes()
        )

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield an error if there are no lists."""
        yield from super().check(options, context)
        if not options["lists"]:
            yield OptionError("lists", "expected at least one list, as in {PER: people.txt}")

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield a note if `dim` is set and all lists have numbers."""
        yield from super().notes(options, context)
        if options["dim"] != _DIM:
            lists, lowercase = options["lists"], options["lowercase"]
            if not GazetteerVocabulary.build({}, lists=lists, lowercase=lowercase).phrases():
                yield "dim has no effect, since all lists have numbers; leave it out"

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Return `[B, T, D]`, zero on padding, given `features["gazetteers"] [B, T]`."""
        rows = features["gazetteers"].tolist()
        positions = torch.zeros(*mask.shape, len(self._phrases), dtype=torch.long)
        numbers = torch.zeros(*mask.shape, len(self._numbered))
        for b, words in enumerate(rows):
            for n, phrases in enumerate(self._phrases):
                for start, end, _ in phrases.find(words):
                    positions[b, start:end, n] = INSIDE
                    positions[b, start, n] = FIRST
            for n, phrases in enumerate(self._numbered):
                for start, end, number in phrases.find(words):
                    numbers[b, start:end, n] = number
        numbers = numbers.to(mask.device)
        found = [table(self._numbers(positions).to(mask.device)) for table in self.tables]
        flat = [vectors.flatten(2) for vectors in found]
        dtype = flat[0].dtype if flat else torch.get_default_dtype()
        x = torch.cat([*flat, numbers.to(dtype)], dim=2)
        return x.masked_fill(~mask.unsqueeze(2), 0)

    def _numbers(self, positions: Tensor) -> Tensor:
        """Return the rows of the table for positions in lists, `[B, T, L]`."""
        return positions + 3 * torch.arange(len(self._phrases)) + len(SPECIAL)

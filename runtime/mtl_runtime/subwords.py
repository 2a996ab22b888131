"""Byte-level BPE (Sennrich et al. 2016): the subwords of words, as `tokenizers` finds them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from mtl_runtime._mtl.text.vocabulary.base import SPECIAL

_PLAIN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = sorted(set(range(0x100)) - set(_PLAIN))
_CHARACTERS = {byte: chr(byte) for byte in _PLAIN} | {
    b: chr(0x100 + n) for n, b in enumerate(_OTHERS)
}
"""Byte to its character: visible Latin-1 characters stay, others follow U+0100."""


class SubwordEncoder:
    """Maps words to the ids of their subwords.

    Args:
        data: A tokenizer in the format of `tokenizers`, as mtl learns it.

    Raises:
        ValueError: The tokenizer has another form.
    """

    def __init__(self, data: Any) -> None:
        try:
            model = data["model"]
            # Older files write a pair as one string; no subword contains a blank.
            pairs = (m.split(" ") if isinstance(m, str) else m for m in model["merges"])
            self._ids: dict[str, int] = dict(model["vocab"])
            self._ranks: dict[tuple[str, ...], int] = {
                tuple(pair): n for n, pair in enumerate(pairs)
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected a BPE tokenizer of `tokenizers`: {error!r}") from None

    def encode(self, word: str) -> list[int]:
        """Return the ids of the subwords, shifted by the number of special strings."""
        ids, ranks = self._ids, self._ranks
        parts = [c for c in map(_CHARACTERS.__getitem__, word.encode()) if c in ids]
        never = len(ranks)
        own = [ranks.get(pair, never) for pair in pairwise(parts)]
        # The first of the most frequent pairs is merged until no pair is known.
        while own and (least := min(own)) < never:
            at = own.index(least)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            del own[at]
            for left in range(max(0, at - 1), min(at + 1, len(own))):
                own[left] = ranks.get((parts[left], parts[left + 1]), never)
        return [len(SPECIAL) + ids[part] for part in parts]

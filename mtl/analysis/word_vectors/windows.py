"""Blocks of running text with the words around them.

Letters: N words of the text, B blocks, T words of a block, W reach of a window to each side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mtl.analysis.word_vectors.text import CountedText

OUTSIDE = -1
"""The id, and the sentence, of positions before and after the text."""


class Blocks(NamedTuple):
    """The text in blocks of T words, each with W words before and after it.

    The T words in the middle of all blocks are the text: each word is in the middle once, and the
    words around it are in its block too.

    Args:
        ids: `[B, T + 2 W]` int32.
        lines: `[B, T + 2 W]` int32, the sentence of each word.
    """

    ids: Tensor
    lines: Tensor


def blocks(text: CountedText, size: int, reach: int) -> Blocks:
    """Return the blocks of a text.

    Args:
        text: The text.
        size: Number of words T in the middle of a block.
        reach: Number of words W before and after them.
    """
    # A text may be empty, if all its words are frequent and left out.
    missing = -len(text.ids) % size if len(text.ids) else size
    around = (reach, reach + missing)
    cut = [
        functional.pad(torch.from_numpy(np.ascontiguousarray(values)), around, value=OUTSIDE)
        for values in (text.ids, text.lines)
    ]
    # Views, which overlap without a copy.
    return Blocks(*(values.unfold(0, size + 2 * reach, size) for values in cut))


def neighbours(lines: Tensor, reach: Tensor, widest: int) -> Tensor:
    """Return whether each word is in the window of each middle word, `[B, T, T + 2 W]` bool.

    A window never contains its middle word, or words of another sentence.

    Args:
        lines: `[B, T + 2 W]`, the sentence of each word.
        reach: `[B, T]`, the reach of each window to each side, at most W.
        widest: W.
    """
    width = lines.shape[1]
    middle = torch.arange(widest, width - widest)
    distance = (torch.arange(width) - middle[:, None]).abs()
    own = lines[:, widest : width - widest]
    same = (own[:, :, None] == lines[:, None, :]) & (own != OUTSIDE)[:, :, None]
    return same & (distance > 0) & (distance <= reach[:, :, None])

"""Token vectors that are rows of a table of words.

Letters: B sentences, T tokens, U words, D width of vectors, N width of products.

Prediction embeds each distinct word once. A layer that multiplies the vector of each token by a
matrix can do the same: its products are the same wherever the word occurs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn import functional


class Words(Protocol):
    """The vectors of words, and further values that layers compute once per word."""

    vectors: Tensor
    """`[U, D]`; row 0 is zero, for padding."""

    def products(self, layer: nn.Module, make: Callable[[Tensor], Tensor]) -> Tensor | None:
        """Return `make(vectors)`, `[U, N]`, computed once per word; None to save memory.

        Args:
            layer: The layer that the products belong to.
            make: A function of vectors `[M, D]` that computes each row from the same row.
        """

    def prepared(self, layer: nn.Module, make: Callable[[], Any]) -> Any:
        """Return `make()`, computed once per layer."""


class Lookup(NamedTuple):
    """The origin of token vectors.

    Args:
        words: The table.
        ids: The row of each token, `[B, T]` int64, 0 on padding.
    """

    words: Words
    ids: Tensor


def look_up(words: Words, ids: Tensor) -> Tensor:
    """Return the vectors of tokens, `[B, T, D]`, for `lookup_of`.

    Args:
        words: The table.
        ids: The row of each token, `[B, T]` int64, 0 on padding.
    """
    x = functional.embedding(ids, words.vectors)
    # An attribute of this very tensor: whatever is computed from it does not have it.
    x._lookup = Lookup(words, ids)  # type: ignore[attr-defined]
    return x


def lookup_of(x: Tensor) -> Lookup | None:
    """Return the origin of token vectors if they are the result of `look_up`, else None."""
    found: Lookup | None = getattr(x, "_lookup", None)
    return found

"""One sentence and its labels: what files, corpora, models and users exchange."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Labels: TypeAlias = "tuple[str, ...] | str | frozenset[str] | float"
"""One label a token; or of the whole sentence one label, a set of labels, or a number."""


def of_tokens(labels: Labels) -> tuple[str, ...]:
    """Return labels that are one a token.

    Raises:
        ValueError: They belong to the sentence.
    """
    if isinstance(labels, str | frozenset | float):
        raise ValueError(f"expected one label a token, got {labels!r}")
    return labels


def names_in(labels: Labels) -> Iterable[str]:
    """Return the names that labels are made of; a number has none."""
    if isinstance(labels, str):
        return (labels,)
    return () if isinstance(labels, float) else labels


def plain(labels: Labels) -> list[str] | str | float:
    """Return labels as JSON has them; those of a set by alphabet.

    >>> plain(frozenset(["b", "a"])), plain(("O", "O")), plain("yes")
    (['a', 'b'], ['O', 'O'], 'yes')
    """
    if isinstance(labels, frozenset):
        return sorted(labels)
    return list(labels) if isinstance(labels, tuple) else labels


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence, its labels by task, and where it came from.

    Args:
        tokens: The words, in order.
        labels: Task to labels. A task without labels for this sentence is absent.
        line: The line of the file at which the sentence starts, from 1.
        second: Of two sentences that are compared, at which word the second begins; None where
            there is one.
    """

    tokens: tuple[str, ...]
    labels: Mapping[str, Labels] = field(default_factory=dict)
    line: int = 0
    second: int | None = None

    @classmethod
    def pair(
        cls,
        first: Sequence[str],
        second: Sequence[str],
        labels: Mapping[str, Labels] | None = None,
        line: int = 0,
    ) -> Example:
        """Make an example of two sentences."""
        return cls((*first, *second), labels or {}, line, len(first))

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The words of the sentence, or of both.

        >>> Example(("a", "b", "c"), second=1).texts
        (('a',), ('b', 'c'))
        """
        if self.second is None:
            return (self.tokens,)
        return self.tokens[: self.second], self.tokens[self.second :]

    def __len__(self) -> int:
        return len(self.tokens)

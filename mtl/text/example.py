"""A sentence and its labels, as readers, corpora, models and users exchange them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Values: TypeAlias = Literal["labels", "sets", "numbers", "distributions", "log_probs"]
"""The kind of value that a task predicts and that a metric compares."""
Distribution: TypeAlias = "dict[str, float]"
"""Label to probability."""
Value: TypeAlias = "str | frozenset[str] | float | Distribution"
"""The value of a sentence or token: a label, a set of labels, a number, or a distribution."""
Labels: TypeAlias = "tuple[Value | None, ...] | Value"
"""One value per token as a tuple, or one value of the whole sentence. See `mtl.targets`."""

ABSENT = "_"
"""The placeholder of CoNLL-U for a token without a value."""


def of_tokens(labels: Labels) -> tuple[str, ...]:
    """Return labels that are one per token; a list becomes a tuple.

    Raises:
        ValueError: They belong to the sentence.
    """
    if not isinstance(labels, (tuple, list)):
        raise ValueError(f"expected one label per token, in a tuple or list, got {labels!r}")
    return tuple(labels)  # type: ignore[arg-type]  # targets check the items


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence, its labels by task, and where it came from.

    Args:
        tokens: The words, in order.
        labels: Task to labels. A task without labels for this sentence is absent.
        line: The line of the file at which the sentence starts, from 1.
        second: For a pair of sentences, the index of the word at which the second one begins;
            None for a single sentence.
        weights: Task to the weight of the sentence in its training loss, where it is not 1.
    """

    tokens: tuple[str, ...]
    labels: Mapping[str, Labels] = field(default_factory=dict)
    line: int = 0
    second: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

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

    def cut(self, start: int, end: int) -> Example:
        """Return the tokens from `start` to `end` with their labels; sentence labels stay."""
        if start == 0 and end >= len(self):
            return self
        labels = {
            task: value[start:end] if isinstance(value, tuple) else value
            for task, value in self.labels.items()
        }
        return replace(self, tokens=self.tokens[start:end], labels=labels)

    def __len__(self) -> int:
        return len(self.tokens)

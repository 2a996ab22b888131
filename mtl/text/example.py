"""One sentence and its labels: what files, corpora, models and users exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Labels: TypeAlias = "tuple[str, ...] | str"
"""One label a token, or one for the whole sentence."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence, its labels by task, and where it came from.

    Args:
        tokens: The words, in order.
        labels: Task to labels. A task without labels for this sentence is absent.
        line: The line of the file at which the sentence starts, from 1.
    """

    tokens: tuple[str, ...]
    labels: Mapping[str, Labels] = field(default_factory=dict)
    line: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

"""Partly labelled tokens: the labels that each token may have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtl.errors import MtlError
from mtl.targets.base import UNLABELLED, per_token
from mtl.targets.label import TokenLabelTarget
from mtl.targets.label_set import read_set
from mtl.text.example import ABSENT, Labels


class PartialLabelTarget(TokenLabelTarget):
    """The possible labels of each token; an empty set leaves a token open.

    The loss is −log p(y ∈ Y | x), where Y holds the label sequences that the sets allow: for a CRF
    the partial likelihood (Tsuboi et al. 2008; Täckström et al. 2013). Predictions are single
    labels. A development set is scored on the sentences whose tokens have one label each.

    >>> PartialLabelTarget.read(["A|B", "_"], "|") == (frozenset("AB"), frozenset())
    True
    """

    name: ClassVar[str] = "partial_labels"
    noun: ClassVar[str] = "partial labels"
    plain_labels: ClassVar[bool] = False
    has_items: ClassVar[bool] = True

    @classmethod
    def read(cls, value: Any, separator: str | None) -> Labels | None:
        """Return a set per token; "_", -1, an empty string or list and null leave a token open."""
        items = per_token(value, "the possible labels of each token")
        return tuple(_read(item, separator) for item in items) or None

    @classmethod
    def pack(cls, gold: Labels) -> list[str]:
        """Return each set as a JSON list."""
        return [json.dumps(sorted(item)) for item in cls.items(gold)]

    @classmethod
    def unpack(cls, strings: Sequence[str]) -> Labels:
        """Return the sets."""
        return tuple(frozenset(json.loads(string)) for string in strings)

    @classmethod
    def informative(cls, gold: Labels) -> bool:
        """Return whether any token is not open."""
        return any(cls.items(gold))

    @classmethod
    def names(cls, gold: Labels) -> Sequence[str]:
        """Return the labels of all tokens; a prediction has one label per token."""
        return [
            label
            for item in cls.items(gold)
            for label in ([item] if isinstance(item, str) else sorted(item))
        ]

    @classmethod
    def item_text(cls, item: Any) -> str:
        """Return a label, or possible labels with bars between, or "_" for an open token."""
        return item if isinstance(item, str) else "|".join(sorted(item or ())) or ABSENT

    @classmethod
    def plain(cls, value: Labels) -> list[Any]:
        """Return a label, or a list of possible labels, per token."""
        return [cls.plain_item(item) for item in cls.items(value)]

    @classmethod
    def plain_item(cls, item: Any) -> Any:
        """Return a label, or possible labels in alphabetical order; None for no answer."""
        return item if item is None or isinstance(item, str) else sorted(item)

    def comparable(self, gold: Labels) -> Labels | None:
        """Return the labels if each token has exactly one, else None."""
        sets = self.items(gold)
        if any(len(item) != 1 for item in sets):
            return None
        return tuple(label for item in sets for label in item)

    def problem(self) -> str | None:
        """Return an error if the training data names no label."""
        return None if self.labels else "no token of the training data has a label"

    def _sequence(self, gold: Labels) -> Sequence[str]:
        # The sets of a token are not a sequence of tags, so they cannot be converted.
        return self.names(gold)

    def tensor(self, gold: Sequence[Labels | None], tokens: int) -> Tensor:
        """Return the possible labels, bool `[B, T, K]`: all for open tokens, none on padding.

        Raises:
            MtlError: A label is not known, as span tags in another scheme than the head's.
        """
        target = torch.zeros(len(gold), tokens, len(self.labels), dtype=torch.bool)
        for row, value in enumerate(gold):
            for position, item in enumerate(self.items(value) if value is not None else ()):
                ids = [self._index[label] for label in item if label in self._index]
                if item and not ids:
                    raise MtlError(
                        f"none of the labels {', '.join(sorted(item))} is known; expected labels "
                        f"of the training data{f' as {self.scheme} tags' if self.scheme else ''}"
                    )
                target[row, position, ids if ids else slice(None)] = True
        return target


def _read(item: Any, separator: str | None) -> frozenset[str]:
    if item in UNLABELLED:
        return frozenset()
    if isinstance(item, str) and separator is None:
        return frozenset([item])
    return read_set(item, separator)

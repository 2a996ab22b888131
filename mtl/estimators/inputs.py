"""Checks of texts and labels as users of scikit-learn pass them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl.errors import MtlError

_NOT_LABELS = ("", "_", "-1")
"""Strings that mean a missing label in files."""

_CHANGED = ("class '", 'class "')
"""The start of the names of labels whose own name a file cannot have."""


class InputError(MtlError, ValueError):
    """The data does not have the form that an estimator expects."""


def _listed(value: Any, name: str) -> list[Any]:
    """Return data as a list."""
    if hasattr(value, "columns") or getattr(value, "ndim", 1) != 1:
        shape = getattr(value, "shape", None)
        raise InputError(f"{name}: expected a list or one column, got a table of shape {shape}")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{name}: expected a list, got {type(value).__name__}")
    items = list(value.tolist() if hasattr(value, "tolist") else value)
    return [item.tolist() if hasattr(item, "tolist") else item for item in items]


def _filled(value: Any, name: str) -> list[Any]:
    items = _listed(value, name)
    if not items:
        raise InputError(f"{name}: expected at least one item, got none")
    return items


def read_texts(value: Any, name: str) -> list[Any]:
    """Return texts, or lists of words."""
    items = _listed(value, name)
    for i, item in enumerate(items):
        if not isinstance(item, str):
            items[i] = _strings(item, f"{name}[{i}]", "a text or a list of words")
    return items


def read_words(value: Any, name: str) -> list[list[str]]:
    """Return lists of words."""
    items = enumerate(_listed(value, name))
    return [_strings(item, f"{name}[{i}]", "a list of words") for i, item in items]


def read_tagged(X: Any, y: Any, name: str, labels: str) -> tuple[list[list[str]], list[list[str]]]:
    """Return lists of words and of tags of the same lengths."""
    _filled(X, name)
    sentences = read_words(X, name)
    tags = [
        _strings(item, f"{labels}[{i}]", "a list of tags")
        for i, item in enumerate(_listed(y, labels))
    ]
    same_length(sentences, tags)
    for i, (words, own) in enumerate(zip(sentences, tags, strict=True)):
        if len(words) != len(own):
            counts = f"{len(words)} words and {len(own)} tags"
            raise InputError(f"{name}[{i}], {labels}[{i}]: expected one tag per word, got {counts}")
    return sentences, tags


def _strings(value: Any, place: str, expected: str) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError(f"{place}: expected {expected}, got {value!r}")
    for item in value:
        if not isinstance(item, str):
            raise InputError(f"{place}: expected {expected}, found {item!r} in it")
    return list(map(str, value))


def class_labels(value: Any, name: str) -> list[Any]:
    """Return labels of one type, which have different names."""
    labels = _filled(value, name)
    for i, label in enumerate(labels):
        whole = isinstance(label, float) and label.is_integer()
        if not (isinstance(label, str | int) or whole):
            raise InputError(f"{name}[{i}]: expected a string or a whole number, got {label!r}")
    kinds = {_kind(label) for label in labels}
    if len(kinds) > 1:
        raise InputError(f"{name}: expected labels of one type, got {' and '.join(sorted(kinds))}")
    # 1 and 1.0 are equal, so they are one label.
    return [float(own) for own in labels] if float in map(type, labels) else labels


def _kind(label: Any) -> str:
    if isinstance(label, str):
        return "strings"
    return "bools" if isinstance(label, bool) else "numbers"


def check_dev(dev: Any) -> None:
    """Check that a dev set is a pair.

    Raises:
        InputError: It is not.
    """
    if not isinstance(dev, Sequence) or isinstance(dev, str) or len(dev) != 2:
        raise InputError("dev: expected a pair of inputs and labels")


def name_of(label: Any) -> str:
    """Return the name of a label in the run folder."""
    name = str(label)
    # Readers remove the blanks around a label, and take some strings as missing values. No two
    # labels have the same name.
    changed = name in _NOT_LABELS or name != name.strip() or name.startswith(_CHANGED)
    return f"class {name!r}" if changed else name


def same_length(X: Any, y: Any) -> None:
    """Check that there are as many labels as texts.

    Raises:
        InputError: The numbers differ.
    """
    if len(X) != len(y):
        raise InputError(f"expected as many labels as texts, got {len(y)} for {len(X)}")


def make_rows(task: str, inputs: Sequence[Any], labels: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rows of data for `train`, with the labels under the name of the task."""
    same_length(inputs, labels)
    return [
        {
            "text" if isinstance(item, str) else "tokens": item,
            task: label if isinstance(label, list) else name_of(label),
        }
        for item, label in zip(inputs, labels, strict=True)
    ]


def in_order(
    rows: NDArray[np.float64], labels: Sequence[str], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Return the columns of probabilities in the order of the classes; 0 for unknown classes."""
    padded = np.concatenate([rows, np.zeros((len(rows), 1))], axis=1)
    position = {label: i for i, label in enumerate(labels)}
    return padded[:, [position.get(label, len(labels)) for label in classes]]

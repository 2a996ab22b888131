"""Labels of words that the input of `mtl predict` gives: in a column or field, or by a list."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from mtl.errors import MtlError, did_you_mean

if TYPE_CHECKING:
    from mtl.inference.inputs import Sentence
    from mtl.text.phrases import Phrases

WordLabels = Sequence[Collection[str] | None]
"""The labels that each word may have; None: any."""


def refuse_beside_paths(
    given: bool, nbest: int | None, confidence: bool, abstain: float | None, explain: bool
) -> None:
    """Raise BadParameter for options that have no meaning beside given labels or --nbest."""
    name = "given labels" if given else f"--nbest {nbest}"
    if explain:
        raise typer.BadParameter(f"cannot be used with {name}", param_hint="--explain")
    if given and (confidence or abstain is not None):
        option = "--confidence" if confidence else "--abstain"
        message = "confidences do not depend on given labels; use --nbest for probabilities"
        raise typer.BadParameter(message, param_hint=option)


def assignments(values: Iterable[str] | None, option: str, tasks: Sequence[str]) -> dict[str, str]:
    """Return task to value, from values such as ner=3.

    Raises:
        BadParameter: A value has another form, the task is not among the tasks, or it has two
            values.
    """
    found: dict[str, str] = {}
    for value in values or ():
        task, sign, own = value.partition("=")
        if not sign or not own:
            raise typer.BadParameter(f"expected TASK=…, got {value!r}", param_hint=option)
        if task not in tasks:
            message = f"{task!r} is not among the tasks: {', '.join(tasks)}"
            raise typer.BadParameter(message, param_hint=option)
        if task in found:
            message = f"{task!r} is named twice: {found[task]} and {own}; keep one"
            raise typer.BadParameter(message, param_hint=option)
        found[task] = own
    return found


def column_numbers(columns: Mapping[str, str]) -> dict[str, int]:
    """Return task to the number of its column.

    Raises:
        BadParameter: A column is not a number.
    """
    for column in columns.values():
        if not re.fullmatch(r"-?[0-9]{1,9}", column):
            message = f"expected the number of a column, counted from 0, got {column!r}"
            raise typer.BadParameter(message, param_hint="--given")
    return {task: int(column) for task, column in columns.items()}


def take_fields(sentence: Sentence, fields: Mapping[str, str]) -> None:
    """Give a sentence the labels in its JSON fields, which are used up.

    Args:
        sentence: The sentence.
        fields: Task to the name of its field.

    Raises:
        ValueError: A field is missing, or is neither null nor a list with one item per word.
    """
    own, count = dict(sentence.fields or {}), len(sentence.tokens)
    for field in fields.values():
        if field not in own:
            raise ValueError(f"an object has no field {field!r}; add it, with null for any labels")
    sentence.given = {
        task: [None] * count if own[field] is None else read_given(own[field], count)
        for task, field in fields.items()
    }
    sentence.fields = {key: v for key, v in own.items() if key not in fields.values()}


def read_given(value: Any, count: int) -> WordLabels:
    """Return the labels that each of `count` words may have; as for `form: partial` of a corpus.

    Raises:
        ValueError: The value is not a list with one item per word.
    """
    from mtl.targets.partial import PartialLabelTarget

    try:
        read = PartialLabelTarget.read(value, "|")
    except ValueError as error:
        raise ValueError(f"given labels: {error}") from None
    items = PartialLabelTarget.items(read) if read is not None else ()
    if len(items) != count:
        message = f"expected labels of {count} words, got {len(items)}; leave unknown ones null"
        raise ValueError(message)
    return [item or None for item in items]


def with_phrases(
    sentences: Iterable[Sentence], lists: Mapping[str, str], known: Mapping[str, Collection[str]]
) -> Iterator[Sentence]:
    """Return a stream of sentences in which words of listed phrases have the labels of the list.

    Labels that the input gives for a word have precedence.

    Args:
        sentences: The sentences.
        lists: Task to a file with a phrase, a tab and a label per line.
        known: Task to the labels that may be given.

    Raises:
        DataError: A file has another form.
        MtlError: A label is not known.
    """
    found = {task: _finder(path, known[task]) for task, path in lists.items()}
    return (_listed(sentence, found) for sentence in sentences)


def _listed(sentence: Sentence, found: Mapping[str, Phrases[str, frozenset[str]]]) -> Sentence:
    words, own = sentence.tokens, dict(sentence.given or {})
    for task, phrases in found.items():
        given = list(own.get(task, [None] * len(words)))
        for start, end, labels in phrases.find(words):
            given[start:end] = [old or labels for old in given[start:end]]
        own[task] = given
    sentence.given = own
    return sentence


def _finder(path: str, known: Collection[str]) -> Phrases[str, frozenset[str]]:
    from mtl.text.phrases import Phrases, read_phrases

    labelled, _ = read_phrases(path, lowercase=False)
    if "" in labelled or not labelled:
        raise MtlError(f"{path}: expected a label after a tab on each line")
    labels: dict[tuple[str, ...], frozenset[str]] = {}
    for label, phrases in labelled.items():
        if label not in known:
            raise MtlError(f"{path}: unknown label {label!r}{did_you_mean(label, known)}")
        for phrase in phrases:
            labels[phrase] = labels.get(phrase, frozenset()) | {label}
    return Phrases(labels)

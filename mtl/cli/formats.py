"""The file formats of `mtl predict`: raw text, CoNLL, JSONL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from mtl.data.readers.conll import Conll
from mtl.data.readers.conllu import Conllu
from mtl.errors import DataError
from mtl.inference.attention import rows_of
from mtl.inference.confidence import confidence_text, fraction
from mtl.inference.inputs import Sentence, split_text
from mtl.inference.prediction import Prediction

if TYPE_CHECKING:
    from torch import Tensor

InputFormat = Literal["text", "conll", "jsonl"]


def read_input(
    lines: Iterable[str], name: str, form: str, *, pairs: bool = False, whole: bool = False
) -> Iterator[Sentence]:
    """Return an iterator over the sentences of an input. It reads the lines lazily.

    Args:
        lines: The lines of the input, with their line ends.
        name: The name of the input, for messages.
        form: Its format; see `InputFormat`.
        pairs: Whether it contains pairs of sentences.
        whole: Whether a line of text, or the text of a JSON object, is one sentence. By default
            it is split into sentences.

    Raises:
        DataError: The input is not of this format; or pairs are to be read from CoNLL.
    """
    if form == "jsonl":
        return _read_jsonl(lines, name, pairs, whole)
    if form == "conll" and pairs:
        raise DataError("pairs are read as text with a tab between, or as JSONL", name)
    if form == "conll":
        return _read_conll(lines, name)
    return _read_pairs(lines, name) if pairs else _read_text(lines, whole)


def _read_text(lines: Iterable[str], whole: bool) -> Iterator[Sentence]:
    """Yield the sentences of raw text. A line end always ends a sentence."""
    position = 0
    for line in lines:
        if not whole:
            yield from split_text(line, position)
        elif line.strip():
            yield Sentence.from_text(line.rstrip("\n"), position)
        position += len(line)


def _read_pairs(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield pairs of raw text: two sentences per line, with a tab between."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        texts = line.rstrip("\n").split("\t")
        if len(texts) != 2:
            message = f"expected two sentences with a tab between, found {len(texts)}"
            raise DataError(message, name, number)
        first, second = map(Sentence.from_text, texts)
        yield Sentence.pair(first, second)


def _read_conll(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield the sentences of a file with one word per line.

    The word is the first column. In CoNLL-U it is the second column, and multiword ranges and empty
    nodes are left out.
    """
    rest, head = iter(lines), []
    for line in rest:
        head.append(line)
        if line.strip() and not line.startswith(("#", "-DOCSTART-")):
            break
    is_conllu = bool(head) and re.fullmatch(r"\d[\d.-]*(\t[^\t]*){9}\n?", head[-1])
    reader = Conllu() if is_conllu else Conll(columns={"tokens": 0})
    for record in reader.parse(chain(head, rest), name):
        yield Sentence.from_words(record.tokens, record.metadata)


def _read_jsonl(lines: Iterable[str], name: str, pairs: bool, whole: bool) -> Iterator[Sentence]:
    """Yield the sentences of JSON objects with "tokens" or "text", one object per line.

    Pairs have "tokens_b" or "text_b" too. Other fields are copied to the output.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = _parse_object(line, name, number)
        if pairs:
            first, second = _side(fields, ""), _side(fields, "_b")
            if first is None or second is None:
                raise DataError(f'{_EXPECTED}, and with "tokens_b" or "text_b"', name, number)
            yield Sentence.pair(first, second, _without(fields, _PAIR_FIELDS))
            continue
        tokens, text = fields.get("tokens"), fields.get("text")
        if _is_words(tokens):
            yield Sentence.from_words(tokens, _without(fields, ("tokens",)))
        elif isinstance(text, str):
            rest = _without(fields, ("text",))
            # A text without words has an output too, so that no object of the input is missing.
            if whole or not text.strip():
                yield Sentence.from_text(text, fields=rest)
            else:
                yield from split_text(text, fields=rest)
        else:
            raise DataError(_EXPECTED, name, number)


_EXPECTED = 'expected an object with "tokens" (a list of words) or "text" (a string)'
_PAIR_FIELDS = ("tokens", "text", "tokens_b", "text_b")


def _side(fields: Mapping[str, Any], end: str) -> Sentence | None:
    """Return one sentence of a pair, or None if the fields do not contain it."""
    tokens, text = fields.get(f"tokens{end}"), fields.get(f"text{end}")
    if not _is_words(tokens):
        return Sentence.from_text(text) if isinstance(text, str) else None
    sentence = Sentence.from_words(tokens)
    sentence.text = text if isinstance(text, str) else None
    return sentence


def _is_words(tokens: Any) -> TypeGuard[list[str]]:
    return isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)


def _parse_object(line: str, name: str, number: int) -> dict[str, Any]:
    """Return the object on a line; an empty one for any other JSON value."""
    try:
        data = json.loads(line)
    except ValueError as error:
        raise DataError(f"expected a JSON object on each line: {error}", name, number) from None
    return data if isinstance(data, dict) else {}


def _without(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in names}


def write_conll(prediction: Prediction) -> str:
    """Return one line per word, with a column per tagger, after a comment per classifier.

    Probabilities of tags, and attention weights of words, have columns of their own.
    """
    sentence = prediction.sentence
    lines = [f"# {key} = {one_line(value)}" for key, value in (sentence.fields or {}).items()]
    if sentence.text is not None:
        lines.append(f"# text = {one_line(sentence.text)}")
    if sentence.tokens_b is not None:
        lines.append(f"# text_b = {one_line(sentence.text_b or ' '.join(sentence.tokens_b))}")
    if sentence.offsets:
        lines.append(f"# start = {sentence.offsets[0][0]}")
    columns: dict[str, Sequence[str]] = {}
    for task, own in prediction.by_task.items():
        by_token = prediction.columns(task)
        if by_token is not None:
            columns |= by_token
        else:
            lines.append(f"# {task} = {prediction.targets[task].text(own.labels)}")
            if own.confidence is not None:
                lines.append(f"# {task}.confidence = {confidence_text(own.confidence)}")
        columns |= _attention_columns(f"{task}.attention", own.attention)
        second = _attention_columns(f"{task}.attention_b", own.attention_b)
        lines += [f"# {name} = {' '.join(weights)}" for name, weights in second.items()]
    lines.append("# columns = " + " ".join(["token", *columns]))
    tokens = (re.sub(r"[\t\r\n]+", " ", token) or "_" for token in sentence.tokens)
    rows = zip(tokens, *columns.values(), strict=True)
    return "\n".join([*lines, *("\t".join(row) for row in rows), "", ""])


def _attention_columns(name: str, weights: Tensor | None) -> dict[str, Sequence[str]]:
    """Return token weights, `[T]` or `[N, T]`, by the names of their columns."""
    if weights is None:
        return {}
    rows = rows_of(weights)
    names = [f"{name}.{hop}" for hop in range(1, len(rows) + 1)] if len(rows) > 1 else [name]
    return {own: [*map(fraction, row)] for own, row in zip(names, rows, strict=True)}


def write_jsonl(prediction: Prediction) -> str:
    """Return a prediction as one JSON object; see `Prediction.to_dict`."""
    return json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n"


def one_line(value: Any) -> str:
    """Return a value as text without line ends."""
    return " ".join(str(value).split())


WRITE: dict[str, Callable[[Prediction], str]] = {"conll": write_conll, "jsonl": write_jsonl}
"""Format to its writer, which returns the text of one prediction."""

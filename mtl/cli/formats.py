"""Formats of what `mtl predict` reads and writes: raw text, CoNLL, JSONL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from mtl.data.readers.conll import Conll
from mtl.data.readers.conllu import Conllu
from mtl.errors import DataError
from mtl.text.example import Example, Labels, of_tokens
from mtl.text.spans import read_spans
from mtl.text.tokenizer import split_sentences, tokenize

if TYPE_CHECKING:
    from torch import Tensor

    from mtl.inference.explanation import Confidence, Explanation

DIGITS = 6
"""Digits of probabilities and weights in JSON."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence to label.

    Args:
        tokens: Its words.
        text: Its text, where the input is raw.
        offsets: Start and end of each word, in characters of the whole input (of the field "text"
            in JSONL), a line end counted as one; empty where the input has words, not text.
        fields: What else the input says of it, to be given back.
        other: The sentence with which it is compared, where there are pairs.
    """

    tokens: tuple[str, ...]
    text: str | None = None
    offsets: Sequence[tuple[int, int]] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    other: Sentence | None = None

    @property
    def example(self) -> Example:
        """What the model reads."""
        return Example.pair(self.tokens, self.other.tokens) if self.other else Example(self.tokens)


def read_text(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield the sentences of raw text; a sentence ends with its line at the latest."""
    position = 0
    for line in lines:
        yield from _sentences(line, position, {})
        position += len(line)


def _sentences(text: str, position: int, fields: Mapping[str, Any]) -> Iterator[Sentence]:
    """Yield the sentences of a text that starts at a position of the input."""
    for start, end in split_sentences(text):
        part = text[start:end]
        tokens = tokenize(part)
        base = position + start
        offsets = [(base + token.start, base + token.end) for token in tokens]
        yield Sentence(tuple(token.text for token in tokens), part, offsets, fields)


def read_conll(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield the sentences of a file with a word a line.

    The word is the first column; in CoNLL-U the second, its multiword ranges and empty nodes left
    out.
    """
    rest, head = iter(lines), []
    for line in rest:
        head.append(line)
        if line.strip() and not line.startswith(("#", "-DOCSTART-")):
            break
    is_conllu = bool(head) and re.fullmatch(r"\d[\d.-]*(\t[^\t]*){9}\n?", head[-1])
    reader = Conllu() if is_conllu else Conll(columns={"tokens": 0})
    for record in reader.parse(chain(head, rest), name):
        yield Sentence(tuple(record.tokens), fields=record.metadata)


def read_jsonl(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield the sentences of JSON objects that have "tokens" or "text", one object a line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = parse_object(line, name, number)
        tokens, text = fields.get("tokens"), fields.get("text")
        if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
            yield Sentence(tuple(tokens), fields=_without(fields, "tokens"))
        elif isinstance(text, str):
            rest = _without(fields, "text")
            # An object without words is given back too, so that none is missing in the output.
            yield from _sentences(text, 0, rest) if text.strip() else [Sentence((), text, (), rest)]
        else:
            expected = 'expected an object with "tokens" (a list of words) or "text" (a string)'
            raise DataError(expected, name, number)


def parse_object(line: str, name: str, number: int) -> dict[str, Any]:
    """Return the object on a line; an empty one for any other JSON."""
    try:
        data = json.loads(line)
    except ValueError as error:
        raise DataError(f"expected a JSON object on each line: {error}", name, number) from None
    return data if isinstance(data, dict) else {}


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


READ: dict[str, Callable[[Iterable[str], str], Iterator[Sentence]]] = {
    "text": read_text,
    "conll": read_conll,
    "jsonl": read_jsonl,
}
"""Format to its reader: lines and the name of the input in, sentences out."""


def write_conll(sentence: Sentence, answers: Mapping[str, Explanation], spans: set[str]) -> str:
    """Return a sentence with a word a line, a column a tagger, and a comment a classifier.

    Probabilities of tags, and weights of words, have columns of their own.
    """
    lines = [f"# {key} = {one_line(value)}" for key, value in sentence.fields.items()]
    if sentence.text is not None:
        lines.append(f"# text = {one_line(sentence.text)}")
    if sentence.other:
        other = sentence.other.text or " ".join(sentence.other.tokens)
        lines.append(f"# text_b = {one_line(other)}")
    if sentence.offsets:
        lines.append(f"# start = {sentence.offsets[0][0]}")
    columns: dict[str, Sequence[str]] = {}
    for task, own in answers.items():
        if isinstance(own.labels, tuple):
            columns[task] = [*map(str, own.labels)]
            if isinstance(own.confidence, tuple):
                columns[f"{task}.confidence"] = [*map(_fraction, own.confidence)]
        else:
            lines.append(f"# {task} = {shown(own.labels)}")
            if own.confidence is not None:
                lines.append(f"# {task}.confidence = {shown_confidence(own.confidence)}")
        columns |= _weights(f"{task}.attention", own.attention)
        others = _weights(f"{task}.attention_b", own.attention_b)
        lines += [f"# {name} = {' '.join(weights)}" for name, weights in others.items()]
    lines.append("# columns = " + " ".join(["token", *columns]))
    tokens = (re.sub(r"[\t\r\n]+", " ", token) or "_" for token in sentence.tokens)
    rows = zip(tokens, *columns.values(), strict=True)
    return "\n".join([*lines, *("\t".join(row) for row in rows), "", ""])


def _weights(name: str, weights: Tensor | None) -> dict[str, Sequence[str]]:
    """Return the weights of words, given `[T]` or `[Q, T]`, by the names of their columns."""
    if weights is None:
        return {}
    rows = hops(weights)
    names = [f"{name}.{hop}" for hop in range(1, len(rows) + 1)] if len(rows) > 1 else [name]
    return {own: [*map(_fraction, row)] for own, row in zip(names, rows, strict=True)}


def hops(weights: Tensor) -> list[list[float]]:
    """Return the weights of words hop by hop, given `[T]` of one, or `[Q, T]`."""
    rows: list[list[float]] = (weights if weights.ndim == 2 else weights.unsqueeze(0)).tolist()
    return rows


def write_jsonl(sentence: Sentence, answers: Mapping[str, Explanation], spans: set[str]) -> str:
    """Return a sentence as one JSON object, with the spans of those tasks that have them."""
    record: dict[str, Any] = dict(sentence.fields)
    if sentence.text is not None:
        record["text"] = sentence.text
    record["tokens"] = list(sentence.tokens)
    if sentence.other:
        if sentence.other.text is not None:
            record["text_b"] = sentence.other.text
        record["tokens_b"] = list(sentence.other.tokens)
    if sentence.offsets:
        record["offsets"] = [list(pair) for pair in sentence.offsets]
    for task, own in answers.items():
        record[task] = _plain(own.labels)
    more: dict[str, dict[str, Any]] = {
        "spans": {task: _spans(sentence, answers[task]) for task in answers if task in spans},
        "confidence": {task: _rounded(own.confidence) for task, own in answers.items()},
        "attention": {task: _numbers(own.attention) for task, own in answers.items()},
        "attention_b": {task: _numbers(own.attention_b) for task, own in answers.items()},
    }
    for name, by_task in more.items():
        known = {task: value for task, value in by_task.items() if value is not None}
        if known:
            record[name] = known
    return json.dumps(record, ensure_ascii=False) + "\n"


def _plain(labels: Labels) -> Any:
    """Return labels as JSON has them; those of a set by alphabet."""
    if isinstance(labels, frozenset):
        return sorted(labels)
    return list(labels) if isinstance(labels, tuple) else labels


def _rounded(confidence: Confidence | None) -> Any:
    if isinstance(confidence, tuple):
        return [round(own, DIGITS) for own in confidence]
    if isinstance(confidence, dict):
        return {label: round(own, DIGITS) for label, own in confidence.items()}
    return None if confidence is None else round(confidence, DIGITS)


def _numbers(weights: Tensor | None) -> Any:
    return None if weights is None else weights.double().round(decimals=DIGITS).tolist()


def _spans(sentence: Sentence, answer: Explanation) -> list[dict[str, Any]] | None:
    if not isinstance(answer.labels, tuple):
        return None
    if answer.spans is None:
        return [_span(sentence, *span) for span in read_spans(of_tokens(answer.labels))]
    return [
        _span(sentence, *span) | {"confidence": round(confidence, DIGITS)}
        for span, confidence in answer.spans
    ]


def _span(sentence: Sentence, kind: str, start: int, end: int) -> dict[str, Any]:
    """Return a span by its words and, where the input is text, by its characters."""
    span: dict[str, Any] = {"type": kind, "tokens": [start, end]}
    if sentence.offsets and sentence.text is not None:
        first, last = sentence.offsets[start][0], sentence.offsets[end - 1][1]
        begin = first - sentence.offsets[0][0] + sentence.text.find(sentence.tokens[0])
        span |= {"start": first, "end": last, "text": sentence.text[begin : begin + last - first]}
    else:
        span["text"] = " ".join(sentence.tokens[start:end])
    return span


def shown(labels: Labels) -> str:
    """Return the labels of a sentence on one line, of its tokens the first twenty."""
    if isinstance(labels, tuple):
        return " ".join(map(str, labels[:20]))
    if isinstance(labels, frozenset):
        return ", ".join(sorted(labels))
    return f"{labels:.6g}" if isinstance(labels, float) else str(labels)


def shown_confidence(confidence: Confidence) -> str:
    """Return probabilities on one line; those of a set with their labels, the highest first."""
    if isinstance(confidence, dict):
        ordered = sorted(confidence.items(), key=lambda item: -item[1])
        return ", ".join(f"{label} {_fraction(own)}" for label, own in ordered)
    return " ".join(map(_fraction, confidence if isinstance(confidence, tuple) else [confidence]))


def _fraction(number: float) -> str:
    return f"{number:.4f}"


def one_line(value: Any) -> str:
    """Return a value as text without line ends."""
    return " ".join(str(value).split())


WRITE: dict[str, Callable[[Sentence, Mapping[str, Explanation], set[str]], str]] = {
    "conll": write_conll,
    "jsonl": write_jsonl,
}
"""Format to its writer: a sentence, labels with what they rest on, tasks that have spans in, text
out."""

"""Pairs of sentences that `mtl predict` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mtl.cli.formats import Sentence, parse_object
from mtl.errors import DataError
from mtl.text.tokenizer import tokenize


def read_text(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield the pairs of raw text: two sentences on a line, with a tab between."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        texts = line.rstrip("\n").split("\t")
        if len(texts) != 2:
            found = f"expected two sentences with a tab between, found {len(texts)}"
            raise DataError(found, name, number)
        first, second = map(_raw, texts)
        yield replace(first, other=second)


def read_jsonl(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield the pairs of JSON objects that have "tokens" or "text", and the same with "_b"."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = parse_object(line, name, number)
        first, second = (_side(fields, end) for end in ("", "_b"))
        if first is None or second is None:
            raise DataError(
                'expected an object with "tokens" (a list of words) or "text" (a string), and with '
                '"tokens_b" or "text_b"',
                name,
                number,
            )
        used = {"tokens", "text", "tokens_b", "text_b"}
        rest = {key: value for key, value in fields.items() if key not in used}
        yield replace(first, other=second, fields=rest)


def _side(fields: Mapping[str, Any], end: str) -> Sentence | None:
    """Return one sentence of a pair, or None if the fields do not have it."""
    tokens, text = fields.get(f"tokens{end}"), fields.get(f"text{end}")
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return Sentence(tuple(tokens), text if isinstance(text, str) else None)
    return _raw(text) if isinstance(text, str) else None


def _raw(text: str) -> Sentence:
    return Sentence(tuple(token.text for token in tokenize(text)), text)


READ: dict[str, Callable[[Iterable[str], str], Iterator[Sentence]]] = {
    "text": read_text,
    "jsonl": read_jsonl,
}
"""Format to its reader of pairs: lines and the name of the input in, pairs out."""

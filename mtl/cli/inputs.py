"""The input of `mtl predict`: raw text, CoNLL, JSONL, and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeGuard

from mtl.errors import DataError
from mtl.inference.inputs import Sentence, split_text

if TYPE_CHECKING:
    from mtl.data.readers.conll import Conll
    from mtl.data.readers.csv import Csv
    from mtl.data.readers.jsonl import Jsonl

_DESCRIBING = ("columns", "global.columns")
"""Comments of a CoNLL file that describe its columns; the output has other columns."""


def read_text(lines: Iterable[str], *, split: bool, paragraphs: bool) -> Iterator[Sentence]:
    """Yield the texts of plain text, or their sentences.

    Args:
        lines: The lines of the input, with their line ends.
        split: Whether to split texts into sentences.
        paragraphs: Whether a text may have several lines, and ends at a blank line. If not, each
            line is a text.
    """
    position = 0
    for text in _paragraphs(lines) if paragraphs else lines:
        if split:
            yield from split_text(text, position)
        elif text.strip():
            yield Sentence.from_text(text.rstrip("\n"), position)
        position += len(text)


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines up to each blank line as one text; together they have all characters."""
    paragraph: list[str] = []
    for line in lines:
        paragraph.append(line)
        if not line.strip():
            yield "".join(paragraph)
            paragraph = []
    if paragraph:
        yield "".join(paragraph)


def read_text_pairs(lines: Iterable[str], name: str) -> Iterator[Sentence]:
    """Yield pairs of raw text: two sentences per line, with a tab between.

    Raises:
        DataError: A line of `name` has another number of sentences.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        texts = line.rstrip("\n").split("\t")
        if len(texts) != 2:
            message = f"expected two sentences with a tab between, found {len(texts)}"
            raise DataError(message, name, number)
        first, second = map(Sentence.from_text, texts)
        yield Sentence.pair(first, second)


def read_conll(
    lines: Iterable[str],
    name: str,
    readers: Sequence[Conll],
    given: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Sentence]:
    """Yield the sentences of a file with one word per line.

    In CoNLL-U the word is the second column, and multiword ranges and empty nodes are left out.
    In other files it is the column that the reader of the run reads, or else the first column.

    Args:
        lines: The lines of the input, with their line ends.
        name: The name of the input, for messages.
        readers: The readers of the run for such files.
        given: Task to the number of the column that gives labels of its words.

    Raises:
        DataError: A line lacks the column of the word, or a given one; or the readers read
            different columns.
    """
    from mtl.data.readers.conllu import COLUMNS, Conllu

    rest, head = iter(lines), []
    for line in rest:
        head.append(line)
        if line.strip() and not line.startswith(("#", "-DOCSTART-")):
            break
    first = head[-1] if head else ""
    is_conllu = re.fullmatch(r"\d[\d.-]*(\t[^\t]*){9}\n?", first)
    reader = Conllu() if is_conllu else _word_reader(first, name, readers, given)
    columns = {task: f"given {task}" for task in given}
    if is_conllu:
        names = {column: own for own, column in COLUMNS.items()}
        columns = {
            task: names.get(column + 10 * (column < 0), "") for task, column in given.items()
        }
        if "" in columns.values():
            raise DataError("--given: expected one of the columns 2 to 5, 7 and 9 of CoNLL-U", name)
    for record in reader.parse(chain(head, rest), name):
        fields = {key: v for key, v in record.metadata.items() if key not in _DESCRIBING}
        sentence = Sentence.from_words(record.tokens, fields)
        if given:
            from mtl.cli.given import read_given

            count = len(record.tokens)
            sentence.given = {
                task: read_given(record.columns[column], count) for task, column in columns.items()
            }
        yield sentence


def _word_reader(
    first: str, name: str, readers: Sequence[Conll], given: Mapping[str, int]
) -> Conll:
    """Return a reader of words and given labels; `first` is the first line with a word."""
    from mtl.data.readers.conll import Conll

    words = {(reader.columns["tokens"], reader.separator, reader.comments) for reader in readers}
    more = {f"given {task}": column for task, column in given.items()}
    if not words or len(first.split()) == 1:
        return Conll(columns={"tokens": 0, **more})
    if len(words) > 1:
        message = "the tasks were trained on files with different columns; select tasks with --task"
        raise DataError(message, name)
    ((column, separator, comments),) = words
    return Conll(columns={"tokens": column, **more}, separator=separator, comments=comments)


def read_jsonl(
    lines: Iterable[str],
    name: str,
    *,
    pairs: bool,
    readers: Sequence[Jsonl | Csv] = (),
    given: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Sentence]:
    """Yield the items of JSON objects with "tokens" or "text", one object per line.

    Pairs have "tokens_b" or "text_b" too. Other fields are copied to the output. A text without
    words is an item too, so that no object of the input is missing in the output.

    Args:
        lines: The lines of the input.
        name: The name of the input, for messages.
        pairs: Whether an item is a pair of sentences.
        readers: The readers of the training data. Their fields are read in objects without the
            fields above.
        given: Task to the field that gives labels of its words.

    Raises:
        DataError: A line of `name` does not have this form.
    """
    known = _names_of_fields(readers)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = _parse_object(line, name, number)
        try:
            fields = {**fields, **_trained_fields(fields, pairs, known)}
            sentence = _pair(fields) if pairs else _single(fields)
            if given:
                from mtl.cli.given import take_fields

                take_fields(sentence, given)
            yield sentence
        except ValueError as error:
            raise DataError(str(error), name, number) from None


def _names_of_fields(readers: Sequence[Jsonl | Csv]) -> list[tuple[list[str], str | None]]:
    """Return, per reader, the fields of words or text, and the field of the second sentence."""
    if not readers:
        return []
    from mtl.data.readers.jsonl import Jsonl

    return [
        ([own.tokens, own.text] if isinstance(own, Jsonl) else [own.text], own.pair)
        for own in readers
    ]


def _trained_fields(
    fields: Mapping[str, Any], pairs: bool, known: Sequence[tuple[list[str], str | None]]
) -> dict[str, Any]:
    """Return the words or texts of the fields of the training data, under the usual names."""
    found: dict[str, Any] = {}
    first = any(fields.get(name) is not None for name in ("tokens", "text"))
    second = not pairs or any(fields.get(name) is not None for name in ("tokens_b", "text_b"))
    for names, pair in known:
        values = [fields[name] for name in names if fields.get(name) is not None]
        if not first and values:
            found["text" if isinstance(values[0], str) else "tokens"] = values[0]
            first = True
        value = None if pair is None else fields.get(pair)
        if not second and value is not None:
            found["text_b" if isinstance(value, str) else "tokens_b"] = value
            second = True
    return found


_EXPECTED = 'expected an object with "tokens" (a list of words) or "text" (a string)'
_PAIR_FIELDS = ("tokens", "text", "tokens_b", "text_b")


def _single(fields: Mapping[str, Any]) -> Sentence:
    sentence = _side(fields, "")
    if sentence is None:
        raise ValueError(_EXPECTED)
    if sentence.text is None:  # a text beside the words is an ordinary field
        sentence.fields = _without(fields, ("tokens",))
    else:
        sentence.fields = _without(fields, ("text",))
    return sentence


def _pair(fields: Mapping[str, Any]) -> Sentence:
    first, second = _side(fields, ""), _side(fields, "_b")
    if first is None or second is None:
        raise ValueError(f'{_EXPECTED}, and with "tokens_b" or "text_b"')
    for side, end in ((first, ""), (second, "_b")):
        text = fields.get(f"text{end}")
        side.text = text if isinstance(text, str) else None
    return Sentence.pair(first, second, _without(fields, _PAIR_FIELDS))


def _side(fields: Mapping[str, Any], end: str) -> Sentence | None:
    """Return a sentence from its words or else from its text; None if both are missing."""
    tokens, text = fields.get(f"tokens{end}"), fields.get(f"text{end}")
    if _is_words(tokens):
        return Sentence.from_words(tokens)
    if tokens is not None:
        raise ValueError(f'expected "tokens{end}" to be a list of words')
    return Sentence.from_text(text) if isinstance(text, str) else None


def _is_words(tokens: Any) -> TypeGuard[list[str]]:
    return isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)


def _parse_object(line: str, name: str, number: int) -> dict[str, Any]:
    """Return the object on a line; an empty one for any other JSON value.

    Raises:
        DataError: It is not JSON, or cannot be written as JSON in UTF-8 again.
    """
    try:
        data = json.loads(line, parse_constant=_refuse_number, parse_float=_finite)
        # JSON can escape an incomplete character (a lone \ud83d), which UTF-8 cannot store.
        if "\\u" in line:
            json.dumps(data, ensure_ascii=False).encode()
        too_deep = line.count("[") + line.count("{") > _MOST_NESTED and _depth(data) > _MOST_NESTED
    except RecursionError:
        too_deep = True
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):x}"
        message = f"contains an incomplete character, {half}; remove or replace it"
        raise DataError(message, name, number) from None
    except ValueError as error:
        raise DataError(f"expected a JSON object on each line: {error}", name, number) from None
    if too_deep:
        message = f"expected JSON of at most {_MOST_NESTED} levels, found deeper lists or objects"
        raise DataError(message, name, number)
    return data if isinstance(data, dict) else {}


_MOST_NESTED = 200
"""The most levels of a JSON value; Python writes no more than about 900."""


def _depth(value: Any) -> int:
    """Return the number of levels of a JSON value, counted without recursion."""
    depth, level = 0, [value]
    while level:
        inner = (
            item.values() if isinstance(item, dict) else item
            for item in level
            if isinstance(item, (dict, list))
        )
        depth, level = depth + 1, list(chain.from_iterable(inner))
    return depth


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON; write null, or leave the field out")


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise ValueError(f"{text} is beyond the largest number")
    return value


def _without(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in names}


def check_prose(lines: Iterable[str], name: str, *, pairs: bool) -> Iterator[str]:
    """Yield lines that are to be read as plain text, after a look at the first ones.

    Raises:
        DataError: They look like another format.
    """
    rest = iter(lines)
    head: list[str] = []
    size = 0
    for line in rest:
        head.append(line)
        size += len(line)
        if len(head) == _LOOK_LINES or size > _LOOK_CHARACTERS:
            break
    form = next((form for form, look in _LOOKS.items() if look(head)), None)
    if form and not (pairs and form == "a table or CoNLL, with tabs"):
        raise DataError(
            f"looks like {form}, not like text; name its format with --input, or add --input text "
            "to label each line as it is",
            name,
        )
    yield from chain(head, rest)


_LOOK_LINES = 50
_LOOK_CHARACTERS = 1 << 16
_LABEL = re.compile(r"\w(?:[\w$:|-]*\w)?")
_TAG = re.compile(r"O|_|[BILOUESMW]-\S+|[A-Z][A-Z0-9]*(?:[-_|:.$][A-Z0-9]*)*\$?|-[LR][RCS]B-")


def _is_json(lines: Sequence[str]) -> bool:
    first = next((line for line in lines if line.strip()), "")
    return re.match(r'\s*(?:\{\s*"|\[\s*(?:[\[{"]|$))', first) is not None


def _has_tabs(lines: Sequence[str]) -> bool:
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("# ")]
    counts = {len(row) for row in rows}
    return len(rows) > 1 and len(counts) == 1 and min(counts) > 1


def _has_tags(lines: Sequence[str]) -> bool:
    """Return whether each line is a word and some tags, with blanks between."""
    rows = [row for line in lines if (row := line.split()) and row[0] not in ("#", "-DOCSTART-")]
    if len(rows) < 2 or len(rows[0]) < 2 or len({len(row) for row in rows}) > 1:
        return False
    # The tag of a punctuation mark is often a punctuation mark.
    marks = [not any(map(str.isalnum, row[0] + row[-1])) for row in rows]
    tags = [_TAG.fullmatch(row[-1]) is not None for row in rows]
    if all(map(max, zip(marks, tags, strict=True))) and any(tags):
        return True
    # Other labels are known by their number: few of them occur again and again.
    first, last = ({row[k] for row in rows} for k in (0, -1))
    few = len(rows) >= 10 and len(last) <= len(rows) / 3 and len(first) > len(last)
    blocks = any(not line.strip() for line in lines[1:-1])
    return few and blocks and all(map(_LABEL.fullmatch, last))


_LOOKS: Mapping[str, Callable[[Sequence[str]], bool]] = {
    "JSON": _is_json,
    "a table or CoNLL, with tabs": _has_tabs,
    "CoNLL, with a word and its tags on each line": _has_tags,
}

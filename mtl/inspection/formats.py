"""Recognition of file formats: the reader of a file and the options that fit it."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from mtl.data.readers.blocks import looks_like_columns
from mtl.errors import DataError, shorten
from mtl.files import open_text
from mtl.text.tokenizer import words_of

_SAMPLE = 2000
"""Number of lines from which the format is recognised."""
_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_TEXT_NAMES = (
    *("text", "sentence", "sentence1", "premise", "question1", "question", "review", "comment"),
    *("content", "body", "message", "tweet", "document", "utterance", "query"),
)
_PAIR_NAMES = ("text_b", "sentence2", "hypothesis", "question2", "text2", "answer")
_TOKEN_NAMES = ("tokens", "words")


class _Plain(csv.excel):
    quoting = csv.QUOTE_NONE


@dataclass(frozen=True)
class Format:
    """The format of a file.

    Args:
        reader: The name of the reader.
        options: The options of the reader.
        description: The format in words, such as "CSV with a header".
        unnamed: Whether the file has no names for its columns. The options then have column1,
            column2 and so on.
    """

    reader: str
    options: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    unnamed: bool = False


def recognise(path: Path) -> Format:
    """Return the format of a data file, from its content.

    The name of the file decides only where the content fits several formats.

    Raises:
        DataError: The file cannot be read, is empty, or has no format with labels.
    """
    with open_text(path) as file:
        lines = [line.rstrip("\n") for line in islice(file, _SAMPLE)]
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise DataError("the file is empty; expected sentences with labels", path)
    if filled[0].lstrip().startswith("{"):
        return _jsonl(filled, path)
    if filled[0].startswith("__label__"):
        return Format("lines", {"tokenize": True}, "one text per line, after its __label__")
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix != ".csv":
        rows = [line for line in filled if not line.startswith("#")]
        if (
            rows
            and all(re.match(r"[0-9]+([-.][0-9]+)?\t", row) for row in rows)
            and (all(row.count("\t") == 9 for row in rows))
        ):
            return Format("conllu", {}, "CoNLL-U")
        if columns := _conll(lines):
            _refuse_header(lines, path)
            return columns
    in_columns = looks_like_columns(filled) and len(filled) == len(lines)
    if in_columns:  # or a table of texts
        firsts = [re.split(r"[ \t]", line, maxsplit=1)[0] for line in filled]
        blank = any(" " in line for line in filled)
        if not blank and sum(len(words_of(text, True)) for text in firsts) < 1.5 * len(firsts):
            _refuse_one_sentence(path)
    if table := _table(path, suffix):
        return table
    if in_columns:
        _refuse_one_sentence(path)
    labels = Counter(line.split(" ", 1)[0] for line in filled)
    texts = sum(line.count(" ") >= 2 for line in filled) >= 0.95 * len(filled)
    if texts and len(labels) <= 0.2 * len(filled):
        return Format("lines", {}, "one text per line, after its label")
    raise DataError(
        "no format with labels was recognised; expected columns with one token per line, CoNLL-U, "
        "CSV, TSV or JSON lines. A text without labels can train a language model: see "
        "docs/language-models.md",
        path,
    )


def _conll(lines: Sequence[str]) -> Format | None:
    """Return the format of files with one token per line, or None if this is another format."""
    rows = [
        line for line in lines if line.strip() and not line.startswith(("# ", "#\t", "-DOCSTART-"))
    ]
    separator = "\t" if sum("\t" in row for row in rows) > len(rows) / 2 else " "
    cells = [[cell for cell in row.split(separator) if cell] for row in rows]
    [(width, frequent)] = Counter(map(len, cells)).most_common(1)
    # One token per line has short lines of equal width, and blank lines between sentences. A text
    # has neither; a table of two columns has long cells.
    blank = sum(not line.strip() for line in lines[:-1])
    words = sum(" " not in row[0].strip() for row in cells)
    if not blank or width < 2 or frequent < 0.9 * len(cells) or words < 0.99 * len(cells):
        return None
    full = [row for row in cells if len(row) == width]
    token = _token_column(full, width)
    names = ["tokens" if k == token else f"column{k + 1}" for k in range(width)]
    options: dict[str, Any] = {"columns": names}
    kind = "tabs" if separator == "\t" else "spaces"
    return Format(
        "conll", options, f"one token per line, {width} columns separated by {kind}", True
    )


def _refuse_one_sentence(path: Path) -> NoReturn:
    """Raise DataError for a column file without blank lines."""
    message = "looks like one token per line, but no blank line ends a sentence"
    raise DataError(f"{message}; add a blank line after each sentence", path)


def _refuse_header(lines: Sequence[str], path: Path) -> None:
    """Raise DataError if the first row of a column file names the columns."""
    number, row = next((n, line.split()) for n, line in enumerate(lines, 1) if line.strip())
    if any(cell.casefold() in (*_TOKEN_NAMES, "token", "word", "form") for cell in row[:2]) and (
        len(row) > 1
    ):
        message = f"the first row names the columns: {' '.join(row)[:60]!r}"
        raise DataError(f"{message}; remove it from the file", path, number)


def _token_column(rows: Sequence[Sequence[str]], width: int) -> int:
    """Return the column of the words: the first one that is not an identifier or a number."""
    for column in range(width):
        values = [row[column] for row in rows]
        if not all(re.fullmatch(r"[\d.-]+", value) for value in values) and len(set(values)) > (
            0.05 * len(values)
        ):
            return column
    return 0


def _table(path: Path, suffix: str) -> Format | None:
    """Return the format of a table, or None if the lines have no common separator."""
    titled: list[list[str]] = []
    candidates = {".csv": ",;\t|", ".tsv": "\t"}.get(suffix, "\t,;|")
    for separator in candidates:
        with open_text(path) as file:
            dialect = _Plain if separator == "\t" else csv.excel
            reader = csv.reader(file, dialect, delimiter=separator)
            try:
                rows = [row for row in islice(reader, _SAMPLE) if row]
            except csv.Error:
                continue
        widths = Counter(map(len, rows))
        width, frequent = widths.most_common(1)[0]
        # The separator of a table also separates the names in its first row.
        if width > 1 and len(rows[0]) == 1 and frequent >= 0.9 * (len(rows) - 1):
            titled = titled or rows
        if width < 2 or frequent < 0.9 * len(rows) or len(rows[0]) != width:
            continue
        # A text may have a comma in each line, so only the name of the file makes it a table.
        if suffix not in (".csv", ".tsv") and frequent < len(rows):
            continue
        _refuse_title(rows, path)
        return _table_format(rows, width, separator)
    if titled and suffix in (".csv", ".tsv"):
        _refuse_title(titled, path)
    return None


def _refuse_title(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Raise DataError if only the first cell of the first row has a text, as a title has."""
    first = rows[0]
    if len(rows) == 1 or not first[0].strip() or any(map(str.strip, first[1:])):
        return
    if len(first) == 1 or all(map(str.strip, rows[1])):
        message = f"the first row looks like a title: {shorten(first[0], 60)!r}"
        advice = "remove it from the file, so that the first row names the columns"
        raise DataError(f"{message}; {advice}", path, 1)


def _table_format(rows: Sequence[Sequence[str]], width: int, separator: str) -> Format:
    full = [row for row in rows if len(row) == width]
    has_header = _is_header(full)
    body = full[1:] if has_header else full
    names = (
        [cell.strip() for cell in full[0]]
        if has_header
        else [f"column{k + 1}" for k in range(width)]
    )
    text, pair = _text_columns(names, [list(column) for column in zip(*body, strict=True)])
    reader = "tsv" if separator == "\t" else "csv"
    options: dict[str, Any] = {"text": text}
    if pair:
        options["pair"] = pair
    if separator not in ",\t":
        options["separator"] = separator
    if not has_header:
        options["columns"] = names
    description = (
        f"a table with {width} columns separated by {_SEPARATORS[separator]}, "
        f"{'with' if has_header else 'without'} a header"
    )
    return Format(reader, options, description, not has_header)


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row names the columns.

    Names are short and are not numbers. No later row of the same column repeats a name.
    """
    first, *body = rows
    # An index column, as pandas writes it, has an empty name.
    names = [cell.strip() for cell in first if cell.strip()]
    if not names or not all(len(name) <= 40 for name in names):
        return False
    if any(re.fullmatch(r"[-+]?[\d.,]+", name) for name in names):
        return False
    if {name.lower() for name in names} & {*_TEXT_NAMES, "label", "labels", "id"}:
        return True
    cells = [cell.strip() for cell in first]
    repeated = any(name and row[k].strip() == name for row in body for k, name in enumerate(cells))
    return not repeated and all(" " not in name or len(name) <= 20 for name in names)


def _text_columns(names: Sequence[str], columns: Sequence[Sequence[str]]) -> tuple[str, str | None]:
    """Return the column of the text, and of the second sentence of a pair or None."""
    lower = {name.lower(): name for name in names}
    text = next((lower[name] for name in _TEXT_NAMES if name in lower), None)
    if text is None:
        lengths = {name: sum(map(len, values)) for name, values in zip(names, columns, strict=True)}
        text = max(lengths, key=lambda name: lengths[name]) if lengths else names[0]
    pair = next((lower[name] for name in _PAIR_NAMES if name in lower), None)
    return text, pair if pair != text else None


def _jsonl(lines: Sequence[str], path: Path) -> Format:
    """Return the format of JSON lines."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not a JSON object: {error}", path, number) from error
        if not isinstance(row, dict):
            raise DataError("expected a JSON object per line", path, number)
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = {name: [row.get(name) for row in rows] for name in names}
    options: dict[str, Any] = {}
    tokens = next((name for name in _TOKEN_NAMES if _are_words(values.get(name, []))), None)
    if tokens is not None:
        if tokens != "tokens":
            options["tokens"] = tokens
        return Format("jsonl", options, "JSON lines with words")
    strings = {
        name: [value if isinstance(value, str) else "" for value in column]
        for name, column in values.items()
    }
    strings = {name: column for name, column in strings.items() if any(column)}
    if not strings:
        raise DataError("no field contains a text or a list of words", path, 1)
    text, pair = _text_columns(list(strings), list(strings.values()))
    if text != "text":
        options["text"] = text
    if pair:
        options["pair"] = pair
    return Format("jsonl", options, "JSON lines with texts")


def _are_words(values: Sequence[Any]) -> bool:
    lists = [value for value in values if value is not None]
    return bool(lists) and all(
        isinstance(value, list) and value and all(isinstance(word, str) for word in value)
        for value in lists
    )

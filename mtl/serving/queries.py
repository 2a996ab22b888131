"""Requests for predictions: JSON, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from mtl.errors import did_you_mean, shorten
from mtl.serving.limits import Limits
from mtl.serving.served_model import ServedModel


class Refused(Exception):
    """A request that is not answered with predictions.

    Args:
        status: The HTTP status.
        message: The problem, the expected content, and a remedy.
        place: The place in the JSON, such as `texts[3]`; empty if there is none.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        place: str = "",
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = shorten(message, _LONGEST)
        self.place = place
        self.headers = headers


_LONGEST = 500
"""The largest number of characters of a message, which may quote the request."""


RETRY = [(b"retry-after", b"1")]
"""The header of refusals that depend on other requests."""


class QueryOptions(NamedTuple):
    """The options of a request. Texts with equal options are labelled together."""

    tasks: tuple[str, ...] | None
    confidence: bool
    attention: bool
    abstain: float | None
    unit: str | None


class Query(NamedTuple):
    """A request for predictions.

    Args:
        texts: The texts, as for `TrainedModel.annotate`.
        sizes: The number of characters of each text.
        options: Its options.
    """

    texts: Sequence[Any]
    sizes: Sequence[int]
    options: QueryOptions


_ONE = ("text", "tokens", "text_b", "tokens_b")
_OPTIONS = ("tasks", "confidence", "attention", "abstain", "unit")
FIELDS = ("texts", *_ONE, *_OPTIONS)
"""The fields of a request."""


class QueryReader:
    """Reads requests for predictions.

    Args:
        model: The model.
        limits: The limits.
    """

    def __init__(self, model: ServedModel, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._select = lru_cache(256)(self._selected)

    def read(self, body: bytes) -> Query:
        """Return the request in the body of an HTTP request.

        Raises:
            Refused: It is not JSON (status 400), has wrong fields (422) or is too large (413).
        """
        fields = _object(body)
        if type(fields) is not dict:
            raise Refused(422, f"expected an object with {_EXPECTED}, found {_kind(fields)}")
        for name in fields:
            if name not in FIELDS:
                raise Refused(422, f"unknown field{did_you_mean(name, FIELDS)}", shorten(name, 80))
        options, pairs = self._options(fields)
        texts, sizes = self._texts(fields, pairs)
        return Query(texts, sizes, options)

    # ---- texts

    def _texts(self, fields: Mapping[str, Any], pairs: bool) -> tuple[list[Any], list[int]]:
        """Return the texts of a request, and the number of characters of each."""
        if "texts" not in fields:
            return self._one_text(fields, pairs)
        texts = fields["texts"]
        if one := [name for name in _ONE if name in fields]:
            raise Refused(422, "expected either texts or a single text, found both", one[0])
        if type(texts) is not list:
            raise Refused(422, f"expected a list, found {_kind(texts)}", "texts")
        if len(texts) > self._limits.texts:
            message = f"expected at most {self._limits.texts:,} texts, found {len(texts):,}"
            raise Refused(413, message, "texts")
        check = self._pair if pairs else self._single
        return texts, [check(text, f"texts[{index}]") for index, text in enumerate(texts)]

    def _one_text(self, fields: Mapping[str, Any], pairs: bool) -> tuple[list[Any], list[int]]:
        """Return the text of a request that is not in a list, and its number of characters."""
        names = [_side(fields, end) for end in (("", "_b") if pairs else ("",))]
        if not pairs and (second := [name for name in _ONE[2:] if name in fields]):
            raise Refused(422, "the tasks read single texts, and not pairs", second[0])
        sides = [fields[name] for name in names]
        size = sum(self._single(side, name) for side, name in zip(sides, names, strict=True))
        return [sides if pairs else sides[0]], [size]

    def _single(self, item: Any, place: str) -> int:
        """Check a text or a list of words, and return its number of characters."""
        if type(item) is str:
            return self._checked(item, len(item), place)
        if type(item) is not list:
            raise Refused(422, f"expected a string or a list of words, found {_kind(item)}", place)
        try:
            text = " ".join(item)
        except TypeError:
            index = next(i for i, word in enumerate(item) if type(word) is not str)
            raise Refused(
                422, f"expected a word, found {_kind(item[index])}", f"{place}[{index}]"
            ) from None
        return self._checked(text, len(text) + 1, place)

    def _checked(self, text: str, size: int, place: str) -> int:
        """Check the length and the characters of a text, and return its length."""
        if size > (most := self._limits.characters):
            raise Refused(413, f"expected at most {most:,} characters, found {size:,}", place)
        if not text.isascii():
            _check_characters(text, place)
        return size

    def _pair(self, item: Any, place: str) -> int:
        """Check two texts, and return their number of characters."""
        if type(item) is not list or len(item) != 2:
            found = f"{len(item):,} items" if type(item) is list else _kind(item)
            raise Refused(422, f"expected a list of two sentences, found {found}", place)
        return sum(self._single(side, f"{place}[{k}]") for k, side in enumerate(item))

    # ---- options

    def _options(self, fields: Mapping[str, Any]) -> tuple[QueryOptions, bool]:
        """Return the options, and whether the tasks read pairs."""
        names = fields.get("tasks")
        if names is not None:
            if type(names) is not list or not names:
                raise Refused(422, f"expected a list of names, found {_kind(names)}", "tasks")
            for index, name in enumerate(names):
                if type(name) is not str:
                    place = f"tasks[{index}]"
                    raise Refused(422, f"expected a name, found {_kind(name)}", place)
                if name not in self._model.tasks:
                    hint = did_you_mean(name, self._model.tasks)
                    raise Refused(422, f"the model has no such task{hint}", f"tasks[{index}]")
        named = None if names is None else frozenset(names)
        pairs, attending = self._select(named)
        attention = _flag(fields, "attention")
        if attention and not attending:
            raise Refused(422, "not all tasks have attention; name those that have it", "attention")
        abstain, unit = fields.get("abstain"), fields.get("unit")
        if abstain is not None and (type(abstain) not in (int, float) or not 0 <= abstain <= 1):
            raise Refused(422, "expected a probability from 0 to 1", "abstain")
        if unit is not None and unit not in ("sentence", "record"):
            raise Refused(422, 'expected "sentence" or "record"', "unit")
        if unit == "sentence" and pairs:
            raise Refused(422, "pairs are not split into sentences; leave it out", "unit")
        tasks = None if named is None else tuple(sorted(named))
        return QueryOptions(tasks, _flag(fields, "confidence"), attention, abstain, unit), pairs

    def _selected(self, names: frozenset[str] | None) -> tuple[bool, bool]:
        """Return whether the tasks read pairs, and whether their attention can be returned."""
        try:
            tasks = self._model.select(None if names is None else sorted(names))
            pairs = self._model.compare_pairs(tasks)
        except self._model.errors as error:
            raise Refused(422, str(error), "tasks") from None
        attention = [self._model.tasks[task].attention for task in tasks]
        return pairs, any(attention) if names is None else all(attention)


_EXPECTED = '"texts" (a list), "text" (a string) or "tokens" (a list of words)'


def _side(fields: Mapping[str, Any], end: str) -> str:
    """Return the field that has the text or the words of one sentence."""
    given = [name for name in (f"text{end}", f"tokens{end}") if name in fields]
    if len(given) > 1:
        raise Refused(422, "expected a text or its words, found both", given[1])
    if not given:
        pair = '"text_b" or "tokens_b", since the tasks read pairs'
        raise Refused(422, f"expected {pair if end else _EXPECTED}")
    (name,), value = given, fields[given[0]]
    if name.startswith("tokens") and type(value) is not list:
        raise Refused(422, f"expected a list of words, found {_kind(value)}", name)
    if name.startswith("text") and type(value) is not str:
        raise Refused(422, f"expected a string, found {_kind(value)}", name)
    return name


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if value is not True and value is not False:
        raise Refused(422, f"expected true or false, found {_kind(value)}", name)
    return value


def _check_characters(text: str, place: str) -> None:
    # JSON can escape an incomplete character (a lone \ud83d), which UTF-8 cannot store.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):x}"
        message = f"contains an incomplete character, {half}; remove or replace it"
        raise Refused(422, message, place) from None


def _object(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise Refused(400, f"expected UTF-8, found another byte at {error.start:,}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Refused(400, f"expected JSON: {error.msg}", place) from None
    except RecursionError:
        raise Refused(400, "expected JSON with fewer levels of lists and objects") from None
    except ValueError as error:  # a field that occurs twice, a number with thousands of digits
        raise Refused(400, f"expected JSON: {error}") from None


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {shorten(twice, 80)!r} occurs twice")
    return found


_DECODER = json.JSONDecoder(parse_constant=_refuse_number, object_pairs_hook=_unique)


def _kind(value: Any) -> str:
    """Return the name of the kind of a JSON value."""
    if type(value) is list and not value:
        return "an empty list"
    return _KINDS[type(value)]


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a string",
    type(None): "null",
}

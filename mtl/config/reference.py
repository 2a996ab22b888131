"""The reference of all keys of a run file, read from the models and the parts."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

from mtl.config.build import Kinds, alternatives_of, kind_of
from mtl.config.explain import describe
from mtl.config.parts import Settings
from mtl.config.run import SLOTS, Run
from mtl.options import REQUIRED, Option, part_options

_NAMES = {"tasks": "TASK", "corpora": "CORPUS", "corpora.CORPUS.tasks": "TASK", "embedding": "SLOT"}
"""Mapping of a run file to the placeholder of its names."""


@dataclass(frozen=True)
class Key:
    """One key of a run file.

    Args:
        path: The dotted path. Words in capitals stand for names: `tasks.TASK.head.hidden_size`.
        values: The values that are accepted, in words.
        default: The default as YAML; empty for a key that must be given.
        help: The meaning.
        parts: The parts that have this option; empty for keys that are not options of a part.
    """

    path: str
    values: str
    default: str
    help: str
    parts: tuple[str, ...] = ()


def reference(kinds: Kinds) -> list[Key]:
    """Return all keys of a run file, in the order of the models."""
    return list(_keys(Run, "", kinds))


def find(keys: list[Key], name: str) -> list[Key]:
    """Return the keys that a user means.

    Args:
        keys: All keys.
        name: A path, whose names of tasks and corpora match any placeholder; or the last words of a
            path.

    Returns:
        The key, or all keys with this ending, and all keys below them.
    """
    words = name.split(".")
    if below := [key for key in keys if _starts(key.path.split("."), words)]:
        return below
    tops = [key.path for key in keys if key.path.split(".")[-len(words) :] == words]
    return [key for key in keys if any(f"{key.path}.".startswith(f"{top}.") for top in tops)]


def part_keys(kinds: Kinds, name: str) -> dict[str, list[Key]]:
    """Return the options of the parts with a name, such as `crf` or `head.crf`, by kind."""
    kind, _, part = name.rpartition(".")
    return {
        f"{found} {part}": [
            _option(option, found) for option in part_options(registry.find(part)).values()
        ]
        for found, registry in kinds.items()
        if part in dict(registry.items()) and kind in ("", found)
    }


def _starts(path: list[str], words: list[str]) -> bool:
    """Return whether a path begins with some words; a placeholder matches any word."""
    return len(words) <= len(path) and all(
        word == expected or (expected.isupper() and word)
        for word, expected in zip(words, path, strict=False)
    )


def _keys(model: type[Settings], path: str, kinds: Kinds) -> Iterator[Key]:
    """Yield the keys of a model."""
    hints = get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        inside = f"{path}.{name}" if path else name
        default = "" if field.is_required() else _yaml(field.default)
        yield from _key(hints[name], inside, field.description or "", default, kinds)


def _key(annotation: Any, path: str, text: str, default: str, kinds: Kinds) -> Iterator[Key]:
    """Yield a key and the keys below it."""
    alternatives, _ = alternatives_of(annotation)
    if kind := kind_of(annotation):
        parts = ", ".join(name for name, _ in kinds[kind.name].items())
        if path.startswith("tasks."):
            default = "as in the corpus file"
        shown = default or kind.default or ""
        yield Key(path, f"one of {parts}, or a mapping with `type` and options", shown, text)
        # `tasks` lists the options of heads and metrics; in a corpus file they are the same.
        if not path.startswith("corpora.CORPUS.tasks."):
            yield from _options(path, kind.name, kinds)
        return
    model = next((a for a in alternatives if isinstance(a, type) and issubclass(a, Settings)), None)
    mapping = next((a for a in alternatives if get_origin(a) is dict), None)
    if model:
        yield Key(path, f"a mapping of {', '.join(_written(model))}", default, text)
        yield from _keys(model, path, kinds)
    elif mapping and path in _NAMES:
        names = _NAMES[path]
        yield Key(path, f"a mapping of names ({names})", default, text)
        inner = get_args(mapping)[1]
        help_ = f"One of {', '.join(SLOTS)}." if names == "SLOT" else ""
        yield from _key(inner, f"{path}.{names}", help_, "", kinds)
    else:
        yield Key(path, describe(annotation), default, text)


def _written(model: type[Settings]) -> list[str]:
    return [name for name, field in model.model_fields.items() if not field.exclude]


def _options(path: str, kind: str, kinds: Kinds) -> Iterator[Key]:
    """Yield the options of all parts of a kind; equal options of several parts are one key."""
    found: dict[Key, list[str]] = {}
    for name, part in kinds[kind].items():
        for option in part_options(part).values():
            found.setdefault(_option(option, path), []).append(name)
    yield from (replace(key, parts=tuple(parts)) for key, parts in found.items())


def _option(option: Option, path: str) -> Key:
    default = "" if option.default is REQUIRED else _yaml(option.default)
    values = "a value" if option.annotation is Any else describe(option.annotation)
    return Key(f"{path}.{option.name}", values, default, option.help)


def _yaml(value: Any) -> str:
    """Return a default as a run file would contain it."""
    if isinstance(value, Settings):
        value = value.model_dump(exclude_none=True)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def first_line(cls: type) -> str:
    """Return the first line of a docstring, without the dash of parts that no paper describes."""
    return (inspect.getdoc(cls) or "").partition("\n")[0].replace(" (–)", "")

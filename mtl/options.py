"""Types for the options of parts: a plain annotation that also says what range is allowed.

The keyword-only arguments of a part's constructor are its options in YAML. `Annotated[float,
Bounds(ge=0, lt=1)]` is the one place where a range is written: the configuration layer derives
validation, JSON Schema and help from it. This module imports nothing but the standard library,
so that a head or a layer can be imported with torch alone.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints


@dataclass(frozen=True, slots=True)
class Bounds:
    """The allowed range of a number; None means unbounded."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Tell pydantic, if someone validates with it; it asks for a method of this name."""
        limits = {"ge": self.ge, "gt": self.gt, "le": self.le, "lt": self.lt}
        return {**handler(source), **{k: limit for k, limit in limits.items() if limit is not None}}


@dataclass(frozen=True, slots=True)
class File:
    """Marks an option that names a file: relative to the YAML it stands in, or to $MTL_DATA.

    Args:
        or_name: Whether it may also be the name of something that lies elsewhere: what is not
            found stays as it was written.
        advice: What to do where it is missing; None: what is done for data.
        shipped: The folder of the package in which it is looked for last.
    """

    or_name: bool = False
    advice: str | None = None
    shipped: str | None = None


FilePath = Annotated[str, File()]
RunPath = Annotated[
    str, File(advice="train it first: mtl train RUN.yaml --output DIR", shipped="pretrained")
]
"""The folder of a finished run, or the name of one that comes with the package."""
ModelName = Annotated[str, File(or_name=True)]
"""A folder, or a name on the Hugging Face hub."""
Probability = Annotated[float, Bounds(ge=0, lt=1)]
"""A probability of dropping something, in [0, 1)."""
Fraction = Annotated[float, Bounds(ge=0, le=1)]
PositiveInt = Annotated[int, Bounds(ge=1)]
NonNegativeInt = Annotated[int, Bounds(ge=0)]
PositiveFloat = Annotated[float, Bounds(gt=0)]
NonNegativeFloat = Annotated[float, Bounds(ge=0)]

REQUIRED = inspect.Parameter.empty
"""Default of an option that has none."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a part, as read off its constructor."""

    name: str
    annotation: Any
    default: Any
    help: str


def options_of(part: type | Any) -> list[Option]:
    """Return the keyword-only arguments of a part's constructor (or of a function), in order.

    The help text of each comes from the `Args:` section of the docstring, or from that of the
    class it is inherited from.
    """
    function = part.__init__ if isinstance(part, type) else part  # type: ignore[misc]
    hints = get_type_hints(function, include_extras=True)
    helps: dict[str, str] = {}
    for documented in reversed(part.__mro__) if isinstance(part, type) else [part]:
        helps |= argument_help(inspect.cleandoc(documented.__doc__ or ""))
    return [
        Option(name, hints.get(name, Any), parameter.default, helps.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError where an option that Python gave is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def argument_help(docstring: str) -> dict[str, str]:
    """Return the entries of a Google-style `Args:` section, each on one line."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    if not section:
        return {}
    entries = re.findall(r"^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {5,}.*)*)", section[1], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}

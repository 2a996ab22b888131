"""Base classes and annotations of the models of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_serializer, model_validator


class Misfit(ValueError):
    """A field does not fit the other fields of its model.

    Args:
        field: The name of the field.
        message: The values expected and found.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Settings(BaseModel):
    """A checked YAML mapping. Fields with `exclude` are computed, not written by users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shorthand: ClassVar[str | None] = None
    """The key that a bare string in place of the mapping sets."""
    alternatives: ClassVar[tuple[str, ...]] = ()
    """Keys that exclude each other; exactly one is set. A later file replaces the key of an earlier
    one."""
    belonging: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Alternative to the keys that are replaced together with it."""

    @model_validator(mode="after")
    def _one_alternative(self) -> Self:
        present = [name for name in self.alternatives if getattr(self, name) is not None]
        if self.alternatives and len(present) != 1:
            field = present[-1] if present else self.alternatives[0]
            raise Misfit(field, f"expected exactly one of {', '.join(self.alternatives)}")
        return self


class Part(Settings):
    """A part and its options.

    Args:
        type: The name of the part in its registry, or `module:Class`.
        options: All options, including those with default values.
    """

    type: str
    options: dict[str, Any] = {}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"type": self.type, **self.options}


@dataclass(frozen=True, slots=True)
class Kind:
    """Annotates a field that is a part.

    Args:
        name: The kind of part: "head", "trunk", …
        default: The default type.
        number: The option of the default type that a bare number sets.
        bare: Whether the default holds only for a part without options; with options, the type is
            required.
    """

    name: str
    default: str | None = None
    number: str | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """Annotates a type with a description of its values, for error messages."""

    words: str

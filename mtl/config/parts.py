"""What the models of the configuration are made of: the parts, and words for what is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_serializer, model_validator


class Misfit(ValueError):
    """A field that does not go with the others.

    Args:
        field: Its name.
        message: What was expected and found.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Settings(BaseModel):
    """A mapping of YAML, checked. Fields with `exclude` are worked out, not written by users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shorthand: ClassVar[str | None] = None
    """The key that is meant when a bare string stands in place of the mapping."""
    alternatives: ClassVar[tuple[str, ...]] = ()
    """Keys of which exactly one is given; the one written last replaces an extended file's."""

    @model_validator(mode="after")
    def _one_alternative(self) -> Self:
        given = [name for name in self.alternatives if getattr(self, name) is not None]
        if self.alternatives and len(given) != 1:
            field = given[-1] if given else self.alternatives[0]
            raise Misfit(field, f"give exactly one of {', '.join(self.alternatives)}")
        return self


class Part(Settings):
    """A part chosen by name.

    Args:
        type: Its name in the registry, or `module:Class`.
        options: All its options, those left out filled in with their defaults.
    """

    type: str
    options: dict[str, Any] = {}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"type": self.type, **self.options}


@dataclass(frozen=True, slots=True)
class Kind:
    """Marks a field that is a part.

    Args:
        name: The kind of part: "head", "trunk", …
        default: The part taken when none is named.
        number: The option of the default part that a bare number stands for.
    """

    name: str
    default: str | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """Says in plain words what a value must be, where the type does not tell."""

    words: str

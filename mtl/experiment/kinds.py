"""All kinds of parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mtl.config.parts import Part
from mtl.data.mixing import MIXING
from mtl.data.readers import READERS
from mtl.embeddings import EMBEDDINGS
from mtl.errors import ConfigError, OptionError
from mtl.heads import HEADS
from mtl.metrics import METRICS
from mtl.options import RunContext, constructor_options, idle_options, part_options
from mtl.registry import Registry
from mtl.sharing import SHARING
from mtl.training.averaging import AVERAGES
from mtl.training.optimizers import OPTIMIZERS
from mtl.training.schedules import SCHEDULES
from mtl.trunks import TRUNKS
from mtl.weighting import WEIGHTING

KINDS: dict[str, Registry[Any]] = {
    "embedding": EMBEDDINGS,
    "trunk": TRUNKS,
    "sharing": SHARING,
    "head": HEADS,
    "weighting": WEIGHTING,
    "mixing": MIXING,
    "metric": METRICS,
    "reader": READERS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "average": AVERAGES,
}
"""The registries of all kinds of parts, by the name of the kind."""


class Refusal(ConfigError):
    """A part does not accept its options.

    Args:
        kind: The kind of the part.
        part: The part, as in the run file.
        error: The error of the part, with the option if it is an `OptionError`.
    """

    def __init__(self, kind: str, part: Part, error: ValueError) -> None:
        super().__init__(f"{kind} {part.type!r}: {error}")
        self.path, self.reason = kind, f"{part.type!r}: {error}"
        """The dotted path of the option, for kinds with one part per run; and the message."""
        if isinstance(error, OptionError) and error.option in part.options:
            self.path, self.reason = f"{kind}.{error.option}", error.message


@contextmanager
def refusals(kind: str, part: Part) -> Iterator[None]:
    """Turn the errors that a part raises in its constructor into a `Refusal`."""
    try:
        yield
    except ValueError as error:
        raise Refusal(kind, part, error) from error


def build(kind: str, part: Part, *supplied: Any) -> Any:
    """Return a part of the run file.

    Args:
        kind: The kind of the part.
        part: The part. Options of its recipe do not go to its constructor.
        supplied: The inputs that the library supplies to all parts of the kind.

    Raises:
        Refusal: The part does not accept its options.
    """
    cls = KINDS[kind].find(part.type)
    with refusals(kind, part):
        return cls(*supplied, **constructor_options(cls, part.options))


def check_part(
    kind: str, part: Part, context: RunContext, *, idle: bool = True
) -> Iterator[OptionError]:
    """Yield the errors in the options of a part, as far as they do not depend on data.

    Args:
        kind: The kind of the part.
        part: The part.
        context: The run.
        idle: Whether options without effect are errors.
    """
    cls = KINDS[kind].find(part.type)
    if idle:
        yield from idle_options(part_options(cls).values(), part.options)
        if find_idle := getattr(cls, "idle", None):
            yield from find_idle(part.options, context)
    if check := getattr(cls, "check", None):  # optimisers are classes of torch
        yield from check(part.options, context)

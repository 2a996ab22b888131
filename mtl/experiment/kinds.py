"""All kinds of parts."""

from __future__ import annotations

from typing import Any

from mtl.config.parts import Part
from mtl.data.mixing import MIXING
from mtl.data.readers import READERS
from mtl.embeddings import EMBEDDINGS
from mtl.errors import ConfigError
from mtl.heads import HEADS
from mtl.metrics import METRICS
from mtl.options import options_of
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
    """A part refuses its options, which may be good alone but not together.

    Args:
        kind: The kind of the part.
        part: The part as the run file has it.
        reason: What it says; as a rule, what comes before a colon is the option to blame.
    """

    def __init__(self, kind: str, part: Part, reason: str) -> None:
        super().__init__(f"{kind} {part.type!r}: {reason}")
        option, _, rest = reason.partition(": ")
        named = option in part.options
        self.path = f"{kind}.{option}" if named else kind
        """The dotted path of what is to blame, for kinds that a run has one part of."""
        self.reason = rest if named else f"{part.type!r}: {reason}"


def build(kind: str, part: Part, *given: Any) -> Any:
    """Return the part that a run file asks for, given what the library supplies.

    Options that the library follows itself, such as those of a vocabulary, are not the part's.

    Raises:
        Refusal: The part refuses its options.
    """
    try:
        cls = KINDS[kind].find(part.type)
        own = {option.name for option in options_of(cls)}
        return cls(*given, **{name: v for name, v in part.options.items() if name in own})
    except ValueError as error:
        raise Refusal(kind, part, str(error)) from error
